// The search page: answers while a reader types, and for ?q=... in its address.

const LENGTH = 200; // characters of a section that a result shows
const SHOWN = 10;
const box = document.querySelector(".search-box input");
const list = document.querySelector("ol.search-results");
const status = document.querySelector(".search-status");
const guide = document.querySelector(".search-guide");
const ranking = new Ranking(searchPages);

function element(name, classes, ...content) {
  const made = document.createElement(name);
  made.className = classes;
  made.append(...content);
  return made;
}

function link(text, address) {
  const made = element("a", "reference internal", text);
  made.href = address;
  return made;
}

// Where the words stand closest to the beginning of the text, marked.
function excerpt(text, terms) {
  const isWanted = (word) => split(word).some((part) => terms.has(stem(part)));
  const words = text.split(" ");
  const first = Math.max(0, words.findIndex(isWanted));
  const start = first > 12 ? first - 6 : 0;
  const made = element("span", "search-excerpt", start ? "… " : "");
  let length = 0;
  for (const word of words.slice(start)) {
    length += word.length + 1;
    if (length > LENGTH) {
      made.append("…");
      break;
    }
    made.append(isWanted(word) ? element("mark", "", word) : word, " ");
  }
  return made;
}

function shown({ page, terms }) {
  const item = element("li", "search-result", link(page.title, page.url));
  if (page.place) {
    item.append(element("p", "search-place", page.place));
  }
  item.append(element("p", "search-question", page.question));
  const section = bestSection(page, terms);
  if (section !== page.sections[0]) {
    const heading = link(section.heading, `${page.url}#${section.id}`);
    const words = excerpt(section.text, terms);
    item.append(element("p", "search-section", heading, ": ", words));
  }
  return item;
}

function answer() {
  const query = box.value.trim();
  const found = query ? ranking.find(query) : [];
  list.replaceChildren(...found.slice(0, SHOWN).map(shown));
  guide.hidden = found.length > 0;
  const count = Math.min(found.length, SHOWN);
  status.textContent = !query
    ? ""
    : count
      ? `${count} ${count === 1 ? "page" : "pages"}, the best answer first`
      : "No page of this site has these words.";
}

let waiting;
box.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const address = new URL(window.location);
    address.searchParams.set("q", box.value);
    window.history.replaceState(null, "", address);
    answer();
  }, 150);
});

box.value = new URLSearchParams(window.location.search).get("q") ?? "";
answer();
