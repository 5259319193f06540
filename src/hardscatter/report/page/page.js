"use strict";

// Tables: a heading's button sorts by that column, again in reverse; numbers that do not exist stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      table.tBodies[0].append(...sorted([...table.tBodies[0].rows], column, falling ? -1 : 1));
    });
  });
}

function sorted(rows, column, sign) {
  const text = (row) => row.cells[column].textContent;
  const compare = (a, b) => {
    const difference = number(a) - number(b);
    return isNaN(difference) ? a.localeCompare(b) : difference;
  };
  const known = rows.filter((row) => text(row) !== "–"), unknown = rows.filter((row) => text(row) === "–");
  return [...known.sort((a, b) => sign * compare(text(a), text(b))), ...unknown];
}

// The number that a cell begins with: "−0.5 ± 0.1", "> 30", "12 000", "10 to 20"; NaN for words.
function number(text) {
  return parseFloat(text.replace(/^[<>] /, "").replace("−", "-").replaceAll("\u202f", ""));
}

// Contents: open beside the text, a closed menu on a phone.
const contents = document.querySelector(".contents");
const narrow = matchMedia("(max-width: 64rem)");
const fold = () => (contents.open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();
contents.addEventListener("click", (event) => {
  if (narrow.matches && event.target.closest("a")) contents.open = false;
});
contents.addEventListener("keydown", (event) => {
  if (narrow.matches && event.key === "Escape") contents.open = false;
});

// The section that is being read is marked in the contents.
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    for (const link of contents.querySelectorAll("a")) {
      const current = link.hash === `#${entry.target.id}`;
      current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
    }
  }
}, { rootMargin: "-15% 0px -80% 0px" });
document.querySelectorAll("main > section").forEach((section) => watcher.observe(section));

// A link to a study unfolds it, one to what is folded in a study as well: before the browser goes there.
function reveal(hash) {
  const target = document.getElementById(decodeURIComponent(hash.slice(1)));
  const rest = target?.closest("details.rest") ?? target?.querySelector(":scope > details.rest");
  if (!rest || rest.open) return;
  rest.open = true;
  target.scrollIntoView();
}
document.addEventListener("click", (event) => reveal(event.target.closest("a[href^='#']")?.hash ?? ""));
addEventListener("hashchange", () => reveal(location.hash));
reveal(location.hash);

// Print everything, what is folded too.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("main details:not([open])")];
  unfolded.forEach((details) => (details.open = true));
});
addEventListener("afterprint", () => unfolded.forEach((details) => (details.open = false)));
