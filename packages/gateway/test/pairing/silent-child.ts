/** Starts, and reports nothing. */
setInterval(() => {}, 1_000);
