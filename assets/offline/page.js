/** Waits until the server answers, and goes where this was meant to go. Its few words are its own: no table is there to take them from. */
(function () {
  const RETRY_MS = 2000;
  const CHINESE = {
    title: 'Skep 没有运行',
    start: '请在其所在的机器上启动：',
    waits: '一旦启动，此页面会自动继续。',
  };
  const read = (name) => {
    try {
      return localStorage.getItem(`skep.${name}`);
    } catch {
      return null;
    }
  };
  const theme = read('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;

  addEventListener('DOMContentLoaded', () => {
    if (!(read('language') || navigator.language).startsWith('zh')) return;
    document.documentElement.lang = 'zh';
    document.title = CHINESE.title;
    document.querySelector('h1').textContent = CHINESE.title;
    for (const el of document.querySelectorAll('[data-text]')) el.textContent = CHINESE[el.dataset.text];
  });

  /** Any answer to where this was meant to go: the server's, then, or that of a proxy with somebody behind it. */
  async function look() {
    try {
      const answer = await fetch(location.href, { method: 'HEAD', cache: 'no-store' });
      if (answer.ok) return location.reload();
    } catch {
      // Not yet.
    }
    return setTimeout(look, RETRY_MS);
  }
  setTimeout(look, RETRY_MS);
  addEventListener('online', look);
})();
