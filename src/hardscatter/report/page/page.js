"use strict";

// Tables: a heading's button sorts by that column, again in reverse; cells without a number stay last.
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
  const value = (row) => row.cells[column].dataset.value;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  const known = rows.filter((row) => value(row) !== undefined);
  const unknown = rows.filter((row) => value(row) === undefined);
  return [...known.sort((a, b) => sign * compare(value(a), value(b))), ...unknown];
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
