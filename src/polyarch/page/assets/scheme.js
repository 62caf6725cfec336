// Light or dark, as the reader chose it on another page. It runs before anything is painted.
"use strict";

(() => {
  const root = document.documentElement;
  try {
    root.dataset.scheme = localStorage.getItem("scheme") ?? "";
  } catch {
    // The browser keeps nothing for this page.
  }
  document.addEventListener("DOMContentLoaded", () => {
    const field = document.getElementById("scheme");
    field.value = root.dataset.scheme || "auto";
    field.addEventListener("change", () => {
      root.dataset.scheme = field.value;
      try {
        localStorage.setItem("scheme", field.value);
      } catch {
        // It holds for this page.
      }
    });
  });
})();
