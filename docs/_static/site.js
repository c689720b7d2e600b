// A region that scrolls must be reachable with the keyboard: code, math and tables on a
// narrow screen.
const REGIONS = ".highlight pre, .math-wrapper, .table-wrapper";
function makeScrollable() {
  const regions = [...document.querySelectorAll(REGIONS)];
  // All are measured before the first is changed, so that the page is laid out once.
  const scrolls = regions.map(
    (region) =>
      region.scrollWidth > region.clientWidth || region.scrollHeight > region.clientHeight,
  );
  for (const [place, region] of regions.entries()) {
    if (scrolls[place]) {
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
