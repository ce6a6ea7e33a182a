// A form is sent once. The page works without this: the bank answers a second
// request of the same form like the first one.
addEventListener('submit', (event) => {
  const form = event.target
  if (form.dataset.sent) {
    event.preventDefault()
    return
  }
  form.dataset.sent = 'yes'
  // Later: a disabled button would not be sent.
  setTimeout(() => form.querySelectorAll('button').forEach((button) => { button.disabled = true }))
})
addEventListener('pageshow', (event) => {
  if (!event.persisted) return
  document.querySelectorAll('form').forEach((form) => { delete form.dataset.sent })
  document.querySelectorAll('button').forEach((button) => { button.disabled = false })
})
