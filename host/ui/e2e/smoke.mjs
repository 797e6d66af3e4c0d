// Drives the dashboard in a real browser against a running dnsvet: logs in, sees a query, opens its trace,
// vets names, takes a decision back, and looks at both themes. Exit code 0 if all of it worked.
//
//   node e2e/smoke.mjs URL USER PASSWORD FOLDER NAME
//
// NAME was asked before and allowed. It is vetted malicious and stays so; `decided at MS` says when the button
// was pressed, milliseconds since 1970. Screenshots go to FOLDER.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, user, password, folder, name] = process.argv.slice(2);
if (!name) {
  console.error("usage: node e2e/smoke.mjs URL USER PASSWORD FOLDER NAME");
  process.exit(2);
}
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
    // A 401 before the login and after a wrong password is how the application learns that it has to ask.
    if (message.type() === "error" && !message.text().includes("401")) faults.push(message.text());
  });
  const shot = (what) => page.screenshot({ path: join(folder, `${what}.png`) });

  await page.goto(url);
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await shot("login");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.waitForTimeout(400);
  await shot("overview");

  await page.getByRole("link", { name: "Queries" }).first().click();
  await page.locator("a.row").first().waitFor();
  await page.locator(".live", { hasText: "live" }).waitFor();
  await shot("queries");
  await page.getByLabel("Part of a name").fill(name);
  const row = page.locator("a.row", { hasText: name }).first();
  await row.click();
  const trace = page.getByRole("article", { name: "Query" });
  await trace.waitFor();
  assert.ok((await trace.locator("li").count()) >= 2, "the trace has its steps");
  await trace.getByRole("heading", { name: "Which characters made the score" }).waitFor();
  const counted = trace.getByRole("list", { name: "Characters that counted most" }).getByRole("listitem");
  assert.match(await counted.first().innerText(), /speaks for (malicious|benign) [+−]\d/, "in words, not by colour alone");
  await shot("trace");

  await page.getByLabel("Part of a name").fill("no-such-name-anywhere");
  await page.getByText("No query matches").waitFor();

  const taken_back = "e2e-taken-back.example";
  await page.goto(`${url}/vetting`);
  await page.getByRole("heading", { name: "Vetting" }).waitFor();
  await page.waitForTimeout(400);
  await shot("vetting");
  for (const decided of [name, taken_back]) {
    await page.getByLabel("Name", { exact: true }).fill(decided);
    const pressed = Date.now();
    await page.getByRole("button", { name: "Malicious" }).first().click();
    await page.locator(".row.done", { hasText: decided }).waitFor();
    await page.getByText("in force after").first().waitFor();
    if (decided === name) console.log(`decided at ${pressed}`);
  }
  await shot("decided");
  await page.locator(".row.done", { hasText: taken_back }).getByRole("button", { name: "Undo" }).click();
  await page.locator(".row.done", { hasText: taken_back }).waitFor({ state: "detached" });

  await page.getByRole("button", { name: "Dark" }).click();
  await page.getByLabel("Name", { exact: true }).fill("");
  await page.waitForTimeout(300);
  await shot("vetting-dark");
  await page.goto(url);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.waitForTimeout(400);
  await shot("overview-dark");
  await page.goto(`${url}/queries`);
  await page.locator("a.row").first().click();
  await trace.waitFor();
  await shot("trace-dark");
  await page.setViewportSize({ width: 420, height: 860 });
  await page.goto(`${url}/queries`);
  await page.locator("a.row").first().waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  assert.ok(!wide, "nothing is wider than a narrow window");
  await shot("narrow");

  await page.setViewportSize({ width: 1440, height: 860 });
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Password").waitFor();
  assert.deepEqual(foreign, [], "no request leaves for another host");
  assert.deepEqual(faults, [], "no error in the browser's console");
  console.log(`dashboard: ok, screenshots in ${folder}`);
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
