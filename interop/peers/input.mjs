// firstLine returns the first line of standard input. The process ends with its input if it is to serve until then.
export function firstLine({ stay = false } = {}) {
  return new Promise((resolve, reject) => {
    let text = ''
    process.stdin.setEncoding('utf8')
    process.stdin.on('data', (chunk) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end >= 0) resolve(text.slice(0, end))
    })
    process.stdin.on('error', reject)
    process.stdin.on('end', () => { if (!stay) process.exit(0) })
  })
}

// lastLine writes a document as the process's last line, and ends the process once that is written.
export function lastLine(document) {
  process.stdout.write(`${JSON.stringify(document)}\n`, () => process.exit(0))
}
