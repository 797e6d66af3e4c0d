// Drives the dashboard in a real browser against a running dnsvet: logs in, sees a query, opens its trace,
// vets names, takes a decision back, and looks at both themes. Exit code 0 if all of it worked.
//
//   node e2e/smoke.mjs URL USER PASSWORD FOLDER NAME
//
// NAME was asked before and allowed. It is vetted malicious and stays so; `decided at MS` says when the button
// was pressed, milliseconds since 1970. Screenshots go to FOLDER.
import assert from "node:assert/strict";
import { browse, login } from "./browser.mjs";

const [url, user, password, folder, name] = process.argv.slice(2);
if (!name) {
  console.error("usage: node e2e/smoke.mjs URL USER PASSWORD FOLDER NAME");
  process.exit(2);
}
await browse({ url, folder }, async (page, shot) => {
  await page.goto(url);
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await shot("login");
  await login(page, user, password);
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
});
console.log(`dashboard: ok, screenshots in ${folder}`);
