// A region that scrolls must be reachable with the keyboard: code and wide tables on a
// narrow screen.
function makeScrollable() {
  for (const region of document.querySelectorAll(".highlight pre, .table-wrapper")) {
    if (region.scrollWidth > region.clientWidth) {
      region.tabIndex = 0;
    } else {
      region.removeAttribute("tabindex");
    }
  }
}
makeScrollable();
window.addEventListener("resize", makeScrollable);
