// A region that scrolls must be reachable with the keyboard: code, math and tables on a
// narrow screen.
const REGIONS = ".highlight pre, .math-wrapper, .table-wrapper";
function makeScrollable() {
  for (const region of document.querySelectorAll(REGIONS)) {
    const wide = region.scrollWidth > region.clientWidth;
    const tall = region.scrollHeight > region.clientHeight;
    if (wide || tall) {
      region.tabIndex = 0;
    } else {
      region.removeAttribute("tabindex");
    }
  }
}
makeScrollable();
window.addEventListener("resize", makeScrollable);

// One switch opens and closes all checks of a page. Without it, each opens by itself.
const summary = document.querySelector(".checks-summary");
if (summary) {
  const button = document.createElement("button");
  button.type = "button";
  const checks = document.querySelectorAll("details.check");
  const areOpen = () => [...checks].every((check) => check.open);
  const tell = () => {
    button.textContent = areOpen() ? "Hide the checks" : "Show the checks";
  };
  button.addEventListener("click", () => {
    const open = !areOpen();
    for (const check of checks) {
      check.open = open;
    }
  });
  for (const check of checks) {
    check.addEventListener("toggle", () => {
      tell();
      makeScrollable();
    });
  }
  tell();
  summary.append(button);
}
