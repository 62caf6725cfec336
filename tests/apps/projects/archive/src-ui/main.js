function greet(name) {
  const greeting = "hello " + name
  return greeting
}
console.log(greet("archive"))
