// Which pages answer a query, the best first. No part of this knows of the browser.
// MiniSearch scores words; Sphinx's language_data.js brings the stemmer and stop words.

const WORDS = /\p{Script=Han}+|[\p{Script=Latin}\d_]+/gu;
const PARTS = /_+|(?<=[a-z])(?=[A-Z])/;
const EMPTY = new Set(["vs", "ve", "ll", "re"]);
// Words without meaning elsewhere, which are names in torch.
const NAMES = new Set(["all", "any", "no", "not", "same", "where"]);
const BOOSTS = {
  title: 6,
  queries: 6,
  headings: 3,
  names: 3,
  question: 2,
  text: 1,
  code: 0.6,
};
// Lessons answer questions; the other pages are looked up.
const KINDS = { lesson: 1, chapter: 0.5, snippet: 0.5, other: 0.5 };
const SUBSTANTIAL = 0.05; // a page that scores less, beside the best one, is noise

// A name is found whole and by its parts: clip_grad_norm_, BatchNorm. Chinese has no
// spaces: each two neighboring characters are a word.
function split(text) {
  return (text.match(WORDS) ?? []).flatMap((word) => {
    if (/\p{Script=Han}/u.test(word)) {
      const pairs = [...word].slice(1).map((end, i) => [...word][i] + end);
      return pairs.length ? pairs : [word];
    }
    const parts = word.split(PARTS).filter(Boolean);
    return parts.length > 1 ? [parts.join(word.includes("_") ? "_" : ""), ...parts] : parts;
  });
}

const stemmer = new Stemmer();

function stem(word) {
  const lower = word.toLowerCase();
  const isEmpty = /^\p{Script=Latin}$/u.test(lower) || EMPTY.has(lower);
  if (isEmpty || (stopwords.has(lower) && !NAMES.has(lower))) {
    return null;
  }
  return /^[a-z]+$/.test(lower) ? stemmer.stemWord(lower) : lower;
}

function stems(text) {
  return new Set(split(text).map(stem).filter(Boolean));
}

class Ranking {
  constructor(pages) {
    this.pages = pages;
    this.known = new Set();
    this.index = new MiniSearch({
      fields: Object.keys(BOOSTS),
      tokenize: split,
      processTerm: (word) => {
        const term = stem(word);
        this.known.add(term);
        return term;
      },
    });
    this.index.addAll(pages.map(asDocument));
    this.declared = pages.map((page) => page.queries.map(stems));
  }

  // A word that no page has begins one that they have, or is misspelled.
  find(query) {
    const asked = stems(query);
    const results = this.index.search(query, {
      boost: BOOSTS,
      boostDocument: (id) => KINDS[this.pages[id].kind],
      fuzzy: (term) => (this.known.has(term) || term.length < 4 ? false : 0.34),
      prefix: (term) => !this.known.has(term) && term.length > 2,
      processTerm: stem,
      tokenize: split,
    });
    for (const result of results) {
      const found = new Set(result.queryTerms).size / asked.size;
      result.score *= found * found * (1 + 3 * this.askedFor(result.id, asked));
    }
    results.sort((one, other) => other.score - one.score);
    return results
      .filter((result) => result.score > SUBSTANTIAL * results[0].score)
      .map(({ id, terms }) => ({ page: this.pages[id], terms: new Set(terms) }));
  }

  // How much of what was asked is a query that the page itself declares.
  askedFor(id, asked) {
    const shares = this.declared[id]
      .filter((declared) => [...declared].every((word) => asked.has(word)))
      .map((declared) => declared.size / asked.size);
    return Math.max(0, ...shares);
  }
}

function asDocument(page, id) {
  const of = (part) => page.sections.map((section) => section[part]).join("\n");
  return {
    id,
    title: page.title,
    queries: page.queries.join("\n"),
    headings: of("heading"),
    names: page.names.join("\n"),
    question: page.question,
    text: of("text"),
    code: of("code"),
  };
}

// The section that has most of the words that were found; the first, where several have.
function bestSection(page, terms) {
  const count = ({ heading, text, code }) => {
    const has = (words) => [...stems(words)].filter((word) => terms.has(word)).length;
    return 2 * has(heading) + has(`${text} ${code}`);
  };
  const counts = page.sections.map(count);
  return page.sections[counts.indexOf(Math.max(...counts))];
}
