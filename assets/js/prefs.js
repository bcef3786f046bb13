/** What this browser remembers: theme, drafts, small choices. Never a token. Works (and forgets) without storage. */

const memory = new Map();

/** @param {string} key @param {string|null} [fallback] @returns {string|null} */
export function getPref(key, fallback = null) {
  if (memory.has(key)) return memory.get(key) ?? fallback;
  try {
    return localStorage.getItem(`skep.${key}`) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Stores a value; `null` or an empty one forgets it. */
export function setPref(key, value) {
  try {
    if (value === null || value === '') localStorage.removeItem(`skep.${key}`);
    else localStorage.setItem(`skep.${key}`, value);
    memory.delete(key);
  } catch {
    // There is none, or it is full: then what it holds of this is of an earlier day.
    memory.set(key, value || null);
  }
}

/** The themes in the order the toggle walks them. */
export const THEMES = ['system', 'light', 'dark'];

/** @returns {'system'|'light'|'dark'} */
export function theme() {
  const value = getPref('theme', 'system');
  return THEMES.includes(value) ? value : 'system';
}

/** Applies and remembers a theme. */
export function setTheme(value) {
  setPref('theme', value === 'system' ? null : value);
  if (value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  syncThemeColor();
}

/** The browser's own frame follows the theme that is shown, not only the system's. */
export function syncThemeColor() {
  const color = getComputedStyle(document.documentElement).getPropertyValue('background-color');
  for (const meta of document.querySelectorAll('meta[name="theme-color"]')) meta.content = color;
}
