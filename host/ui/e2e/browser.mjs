// A real browser for the scripts beside: opened, logged in, watched for faults and foreign requests, looked at.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

/**
 * Runs `drive` with a page at `url`; then nothing may have gone elsewhere or failed, but requests whose URL `refused`
 * matches. Screenshots go to `folder`.
 */
export async function browse({ url, folder, refused = /^$/ }, drive) {
  mkdirSync(folder, { recursive: true });
  const profile = mkdtempSync(join(tmpdir(), "dnsvet-e2e-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    headless: true,
    viewport: { width: 1440, height: 860 },
    colorScheme: "light",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
  const foreign = [];
  const faults = [];
  try {
    const page = browser.pages()[0] ?? (await browser.newPage());
    page.setDefaultTimeout(15_000);
    page.on("request", (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith("data:")) foreign.push(request.url());
    });
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("console", (message) => {
      // A 401 before the login and after a wrong password is how the application learns that it has to ask, and a
      // 502 is what it is told where a registry can't be reached.
      const meant = /\b(401|502)\b/.test(message.text()) || refused.test(message.location().url);
      if (message.type() === "error" && !meant) faults.push(message.text());
    });
    await drive(page, (what) => page.screenshot({ path: join(folder, `${what}.png`) }));
    assert.deepEqual(foreign, [], "no request leaves for another host");
    assert.deepEqual(faults, [], "no error in the browser's console");
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Logs in; the overview is open then. */
export async function login(page, user, password) {
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** What WCAG AA asks of any screen and a script can see: names of controls, contrast of texts, no sideways scrolling. */
export async function accessible(page, where) {
  const found = await page.evaluate(() => {
    const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    const wrong = [];
    for (const control of document.querySelectorAll("button, a[href], input, select, textarea")) {
      if (!shown(control) || control.closest("[aria-hidden=true]")) continue;
      const labels = control.labels ? [...control.labels].map((label) => label.textContent).join("") : "";
      const name = (control.getAttribute("aria-label") ?? "") + labels + control.textContent + (control.getAttribute("title") ?? "");
      if (name.trim() === "") wrong.push(`no name: ${control.outerHTML.slice(0, 120)}`);
    }
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
    const light = ([r, g, b]) => {
      const part = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
      return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    const behind = (element) => {
      const layers = [];
      for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
      return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const element = walk.currentNode.parentElement;
      const text = walk.currentNode.textContent.trim();
      if (text === "" || !shown(element) || element.closest(".hidden, svg, :disabled, option")) continue;
      const style = getComputedStyle(element);
      const back = behind(element);
      const [high, low] = [light(over(rgba(style.color), back)), light(back)].sort((a, b) => b - a);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const ratio = (high + 0.05) / (low + 0.05);
      if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)}: "${text.slice(0, 40)}" (${element.className})`);
    }
    for (const box of [document.documentElement, document.querySelector("main")]) {
      if (box && box.scrollWidth > box.clientWidth) wrong.push(`wider than the window: ${box.localName}`);
    }
    return [...new Set(wrong)];
  });
  assert.deepEqual(found, [], where);
}

/** Looks at the screen that is open in both themes and at phone width. */
export async function lookAt(page, shot, what) {
  for (const theme of ["light", "dark"]) {
    if ((await page.evaluate(() => document.documentElement.dataset.theme)) !== theme) {
      await page.getByRole("button", { name: theme === "dark" ? "Dark" : "Light", exact: true }).click();
    }
    await shot(`${what}-${theme}`);
    await accessible(page, `${what}, ${theme}`);
  }
  await page.getByRole("button", { name: "Light", exact: true }).click();
  await page.setViewportSize({ width: 390, height: 844 });
  await shot(`${what}-phone`);
  await accessible(page, `${what}, phone`);
  await page.setViewportSize({ width: 1440, height: 860 });
}
