/** A tool of the page: what time it is where the browser is, and which language it speaks. */

export function execute() {
  const { timeZone: zone, locale: language } = Intl.DateTimeFormat().resolvedOptions();
  return { time: new Date().toLocaleTimeString(), zone, language };
}
