/** Resolves in the next turn of the event loop: after what promises still have to do, and after a transport had its chance to send. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
