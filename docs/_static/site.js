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
