// Drives the screens of names in a real browser against a running dnsvet: every number and name leads where it says,
// a registry is asked only by its button, hostile names stay text. Exit code 0 if all of it worked.
//
//   node e2e/screens.mjs URL USER PASSWORD FOLDER BLOCKED ALLOWED
//
// Both names were asked before; one was blocked, the other allowed. Decisions that this makes are taken back.
// Screenshots go to FOLDER.
import assert from "node:assert/strict";
import { browse, login, lookAt } from "./browser.mjs";

const [url, user, password, folder, blocked, allowed] = process.argv.slice(2);
if (!allowed) {
  console.error("usage: node e2e/screens.mjs URL USER PASSWORD FOLDER BLOCKED ALLOWED");
  process.exit(2);
}

// A name with signs that no name has is refused.
await browse({ url, folder, refused: /name=%3Cimg/ }, async (page, shot) => {
  await page.goto(url);
  await login(page, user, password);
  await overview(page);
  await aName(page, shot);
  await hostileNames(page, shot);
  await rankings(page, shot);
  await vettingInBulk(page, shot);
  await lists(page, shot);
  await models(page, shot);
});
console.log(`screens: ok, screenshots in ${folder}`);

/** A blocked name of the overview leads to its screen. */
async function overview(page) {
  await page.getByRole("link", { name: blocked }).first().click();
  await page.getByRole("heading", { name: blocked, exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, `/name/${blocked}`);
}

async function aName(page, shot) {
  await page.getByRole("link", { name: /blocked|nxdomain|honeypot/ }).first().waitFor();
  await page.getByText("First seen").waitFor();
  // Steps lie in the address, and the table says the same as the plot.
  await page.getByLabel("Steps").selectOption("hour");
  await page.waitForURL(/step=hour/);
  await page.getByText("As a table").click();
  const row = page.locator("details tbody tr").last();
  const number = Number((await row.locator("td").last().innerText()).replaceAll(/\D/g, ""));
  assert.ok(number > 0, "blocked queries in the last hour that has any");
  await lookAt(page, shot, "name");
  await page.waitForTimeout(300);
  await row.locator("td").last().getByRole("link").click();
  await page.locator("a.row").first().waitFor();
  const params = new URL(page.url()).searchParams;
  assert.deepEqual([params.get("name"), params.get("exact"), params.get("action")], [blocked, "true", "blocked"]);
  // Only rows in sight are in the page, so the list itself is asked.
  const behind = await page.evaluate(async () => (await (await fetch(`/api/v1/queries${location.search}&limit=1000`)).json()).items.length);
  assert.equal(behind, number, "the list behind the number has as many");

  // Who asked leads to what they asked.
  await page.goBack();
  const byClient = page.locator("section", { has: page.getByRole("heading", { name: "Queries by client" }) });
  await byClient.getByRole("link", { name: /^\d[\d,.]* queries$/ }).first().click();
  await page.locator("a.row").first().waitFor();
  assert.match(new URL(page.url()).searchParams.get("client"), /^[\d.:a-f]+\/(32|128)$/);

  // Decided, said who and when, taken back.
  await page.goto(`${url}/name/${allowed}`);
  await page.getByRole("heading", { name: allowed, exact: true }).waitFor();
  await page.getByText("Nobody has decided on it").waitFor();
  await page.keyboard.press("h");
  await page.getByText(/Decided honeypot and all below, by/).waitFor();
  await page.getByRole("button", { name: "Take back" }).click();
  await page.getByText("Nobody has decided on it").waitFor();

  // The registry: only by the button, and a clear word where it can't be had.
  const asked = [];
  page.on("request", (request) => { if (request.url().endsWith("/rdap")) asked.push(request.url()); });
  await page.reload();
  await page.getByRole("button", { name: /Ask the registry/ }).waitFor();
  assert.deepEqual(asked, [], "opening the screen asks nobody");
  await page.getByRole("button", { name: /Ask the registry/ }).click();
  await page.getByRole("alert").getByText(/could not be asked|has no record/).waitFor();
  assert.equal(asked.length, 1);
}

/** Nothing that a name holds becomes anything but text, also where only the address has it. */
async function hostileNames(page, shot) {
  const long = [63, 63, 63, 61].map((length) => "a".repeat(length)).join(".");
  for (const name of ["\\060script\\062.example", "\\226\\128\\174moc.elgoog.example", "xn--80ak6aa92e.example", long]) {
    await page.goto(`${url}/name/${encodeURIComponent(name)}`);
    await page.getByText("Nobody has asked for this name").waitFor();
    assert.equal(await page.locator("h2").innerText(), name);
    assert.equal(await page.locator("#app script").count(), 0);
  }
  await lookAt(page, shot, "name-long");
  await page.goto(`${url}/name/${encodeURIComponent("<img src=x onerror=alert(1)>.example")}`);
  await page.locator("h2").getByText("<img src=x").waitFor();
  assert.equal(await page.locator("#app img").count(), 0);
}

async function rankings(page, shot) {
  await page.getByRole("link", { name: "Malicious" }).click();
  await page.getByRole("heading", { name: "Malicious" }).waitFor();
  await page.getByRole("link", { name: blocked }).first().waitFor();
  assert.ok((await page.locator(".card li").count()) <= 20);
  await lookAt(page, shot, "malicious");
  await page.getByRole("button", { name: "Full list" }).click();
  await page.waitForURL(/view=list/);
  await page.getByRole("button", { name: "Name", exact: true }).click();
  await page.waitForURL(/sort=name/);
  await page.locator("th.name[aria-sort=ascending]").waitFor();
  const names = await page.locator("td.name").allInnerTexts();
  const turned = names.map((name) => name.replaceAll("\n", "").split(".").reverse().join("."));
  assert.deepEqual(turned, [...turned].sort(), "sorted from the right, as names nest");
  await lookAt(page, shot, "malicious-list");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "CSV" }).click()]);
  assert.equal(download.suggestedFilename(), "dnsvet-malicious.csv");

  await page.getByRole("link", { name: "Benign" }).click();
  await page.getByRole("heading", { name: "Benign" }).waitFor();
  await page.locator(".card li").first().waitFor();
  assert.equal(await page.getByRole("link", { name: blocked, exact: true }).count(), 0, "a name is on one side");
  await lookAt(page, shot, "benign");
}

/** Names picked and changed in one step, found under their new status, and taken back in one step. */
async function vettingInBulk(page, shot) {
  await page.getByRole("link", { name: /^Vetting/ }).click();
  await page.getByRole("heading", { name: "Vetting" }).waitFor();
  await page.locator("[data-name]").first().waitFor();
  await lookAt(page, shot, "vetting");
  const picked = await page.locator("[data-name]").evaluateAll((rows) => rows.slice(0, 3).map((row) => row.dataset.name));
  for (const name of picked) await page.getByLabel(`Select ${name}`).check();
  await page.getByText(`${picked.length} of `).waitFor();
  await page.getByLabel("New status").selectOption("honeypot");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.getByText(/names?: honeypot, in force after/).waitFor();
  await page.getByRole("tab", { name: /^Honeypot/ }).click();
  await page.waitForURL(/tab=honeypot/);
  for (const name of picked) await page.locator(`[data-name="${name}"]`).getByText(`${user}, `).waitFor();
  await lookAt(page, shot, "vetting-honeypot");
  // All that match are selected, and only those.
  await page.getByLabel("Name", { exact: true }).fill(picked[0]);
  await page.getByLabel("Select all").check();
  await page.getByText("1 of 1 selected").waitFor();
  await page.getByLabel("New status").selectOption("none");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.locator(`.done[data-name="${picked[0]}"]`).waitFor({ state: "detached" });
  await page.getByLabel("Name", { exact: true }).fill("");
  if (picked.length > 1) {
    await page.getByLabel("Select all").check();
    await page.getByLabel("New status").selectOption("benign");
    await page.getByRole("button", { name: "Submit" }).click();
    await page.locator(`[data-name="${picked[1]}"]`).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Undo u" }).last().click();
    await page.locator(`[data-name="${picked[1]}"]`).waitFor();
    await page.getByLabel("Select all").check();
    await page.getByLabel("New status").selectOption("none");
    await page.getByRole("button", { name: "Submit" }).click();
    await page.locator(`[data-name="${picked[1]}"]`).waitFor({ state: "detached" });
  }
  await page.getByRole("tab", { name: /^Honeypot/ }).focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL(/tab=benign/);
  await page.getByRole("tab", { name: /^Unblock requests/ }).click();
  await page.getByText("Asked to be unblocked").waitFor();
}

/** Lists say how they stand, and what each blocked leads to its queries. */
async function lists(page, shot) {
  await page.getByRole("link", { name: "Lists & policy" }).click();
  await page.getByRole("heading", { name: "Lists & policy" }).waitFor();
  const hit = page.getByRole("link", { name: /^[1-9][\d,.]* blocked$/ }).first();
  await hit.waitFor();
  await lookAt(page, shot, "lists");
  await hit.click();
  await page.locator("a.row").first().waitFor();
  const params = new URL(page.url()).searchParams;
  assert.ok(params.get("rule") && params.get("action") === "blocked");
  await page.getByRole("button", { name: "Take the rule out" }).waitFor();
}

/** The registry is shown with its cards; a model challenges the one in force, and is taken away. */
async function models(page, shot) {
  await page.getByRole("link", { name: "Models" }).click();
  await page.getByRole("heading", { name: "Models" }).waitFor();
  const large = page.locator("article", { hasText: /^large/ });
  await large.getByText("Card", { exact: true }).click();
  await large.locator("pre").getByText("# large").waitFor();
  await large.getByText("Card", { exact: true }).click();
  await lookAt(page, shot, "models");
  await large.getByRole("button", { name: "Challenge" }).click();
  await page.getByText(/put up by/).waitFor();
  await shot("models-challenged");
  await page.getByRole("button", { name: "Take it away" }).click();
  await page.getByText("None. Put one up").waitFor();
}
