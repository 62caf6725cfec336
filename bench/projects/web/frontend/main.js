export function greeting(name) {
  const text = `Hello, ${name}`;
  return text;
}
