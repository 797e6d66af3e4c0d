/** Light or dark: the system's choice until a person makes another. */
type Theme = "light" | "dark";

const dark = matchMedia("(prefers-color-scheme: dark)");
const stored = (): Theme | null => {
  const kept = localStorage.getItem("dnsvet.theme");
  return kept === "light" || kept === "dark" ? kept : null;
};

export const theme = $state<{ now: Theme }>({ now: stored() ?? (dark.matches ? "dark" : "light") });

export function applyTheme() {
  document.documentElement.dataset["theme"] = theme.now;
}

export function toggleTheme() {
  theme.now = theme.now === "dark" ? "light" : "dark";
  localStorage.setItem("dnsvet.theme", theme.now);
  applyTheme();
}

dark.addEventListener("change", () => {
  if (stored() === null) {
    theme.now = dark.matches ? "dark" : "light";
    applyTheme();
  }
});
