/** Put something else in the place of a method, for all who call it from now on. @param make gets what was there */
export function replaceMethod<T extends object, K extends keyof T>(
  target: T,
  name: K,
  make: (original: T[K]) => T[K],
): void {
  target[name] = make(target[name]);
}
