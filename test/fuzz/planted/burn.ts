/** Keep this thread busy for so long, by its CPU time: a busy machine must not make a planted bug smaller. */
export function burn(ms: number): void {
  const before = process.threadCpuUsage();
  for (;;) {
    const { user, system } = process.threadCpuUsage(before);
    if (user + system >= ms * 1000) return;
  }
}
