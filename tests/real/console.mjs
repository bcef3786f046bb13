// A person at the console: opens the sign-in link in a real Chromium, then, for each line `CHAT KEY` of its input, goes to
// that chat, waits until a worker asks there, presses the key, and prints how the request is shown to be answered.
//
//   node console.mjs LINK PLAYWRIGHT      PLAYWRIGHT is the directory of playwright-core; CHROMIUM is the browser, if not on PATH
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';

const [link, playwright] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(`${playwright}/index.mjs`));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  const page = await browser.newPage();
  await page.goto(link);
  await page.waitForSelector('.shell');
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [chat, key] = line.split(' ');
    await page.goto(new URL(`/chats/${chat}`, link).href);
    const card = page.locator('.permission[data-state=waiting][data-armed]');
    await card.waitFor({ timeout: 120_000 });
    const said = (await card.innerText()).replaceAll('\n', ' ');
    const answered = await card.elementHandle();
    await page.keyboard.press(key);
    await page.waitForFunction((el) => el.dataset.state !== 'waiting', answered);
    console.log(JSON.stringify({ said, state: await answered.getAttribute('data-state') }));
  }
} finally {
  await browser.close();
}
