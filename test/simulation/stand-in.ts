/** `whole` but for some of its methods; what it keeps private stays its own. */
export function standIn<T extends object>(whole: T, instead: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name) {
      const own: unknown = Reflect.get(instead, name) ?? Reflect.get(target, name, target);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}
