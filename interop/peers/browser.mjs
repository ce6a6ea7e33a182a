// A person in front of a real browser, at the bank and the fintech of examples/. Standard input has one JSON line: where the
// two are, who the person is, which browser to drive, and a folder for screenshots. It prints one line for each step, and one
// of JSON at the end: {"ok":true,"steps":…} or {"ok":false,"step":…,"error":…}.
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { chromium } from 'playwright-core'
import { firstLine } from './input.mjs'

const axe = createRequire(import.meta.url).resolve('axe-core')
const { bank, fintech, user, password, browser: executablePath, screenshots } = JSON.parse(await firstLine({ stay: true }))
await mkdir(screenshots, { recursive: true })

let step = 'start'
let steps = 0
const begin = (name) => { step = name; steps++; console.error(name) }

// looks checks a page as it is shown: nothing that axe-core calls a violation, nothing wider than the screen, and no element
// that hides the text of another. Then it takes a picture.
async function looks(page, name) {
  await page.addScriptTag({ path: axe })
  const violations = await evaluateAxe(page)
  assert.deepEqual(violations, [], `${name}: accessibility`)
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  assert.ok(overflow <= 0, `${name}: ${overflow} pixels wider than the screen`)
  await page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true })
}

function evaluateAxe(page) {
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })
    return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)
  })
}

const text = (page) => page.locator('main').innerText()
const has = async (page, ...words) => {
  const shown = await text(page)
  for (const word of words) assert.ok(shown.includes(word), `no ${JSON.stringify(word)} in:\n${shown}`)
}
const at = (page, origin) => assert.equal(new URL(page.url()).origin, origin, `at ${page.url()}`)

async function logIn(page, name) {
  at(page, bank)
  await page.fill('#username', user)
  await page.fill('#password', password)
  if (name) await looks(page, name)
  await page.click('#login')
}

async function askForPayment(page, amount, payee) {
  await page.goto(`${fintech}/payment`)
  await page.fill('#payee', payee)
  await page.fill('#iban', 'DE89370400440532013000')
  await page.fill('#amount', amount)
  await page.fill('#reference', 'Invoice 42')
  await page.click('main button')
}

async function visit(launched, size, name) {
  const context = await launched.newContext({ viewport: size, ignoreHTTPSErrors: true, bypassCSP: true, javaScriptEnabled: true, hasTouch: size.width < 600, isMobile: size.width < 600 })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const failures = []
  page.on('console', (m) => { if (m.type() === 'error') failures.push(m.text()) })
  page.on('pageerror', (e) => failures.push(String(e)))
  const shot = (what) => `${name}-${what}`

  begin(`${name}: the fintech's home page`)
  await page.goto(`${fintech}/`)
  await looks(page, shot('home'))
  await page.getByRole('button', { name: 'Connect your bank' }).click()

  begin(`${name}: a wrong password`)
  await page.fill('#username', user)
  await page.fill('#password', 'not it')
  await page.click('#login')
  at(page, bank)
  assert.equal(await page.getAttribute('#problem', 'role'), 'alert')
  await looks(page, shot('wrong-password'))

  begin(`${name}: login, after a reload`)
  await page.goto(page.url())
  await logIn(page, shot('login'))

  begin(`${name}: consent`)
  at(page, bank)
  await looks(page, shot('consent'))
  assert.ok(await page.locator('input[type=checkbox]').count() > 0, 'nothing to choose')
  await page.click('#approve')

  begin(`${name}: accounts`)
  await page.waitForURL(`${fintech}/**`)
  await page.goto(`${fintech}/accounts`)
  await has(page, 'IBAN')
  await looks(page, shot('accounts'))

  begin(`${name}: a payment in words`)
  await askForPayment(page, '12.34', 'ACME')
  if (await page.locator('#login').count()) await logIn(page)
  at(page, bank)
  await has(page, '12.34', 'EUR', 'ACME')
  await looks(page, shot('payment-consent'))
  await page.click('#approve')
  await page.waitForURL(`${fintech}/**`)
  await has(page, '12.34', 'ACME')
  await looks(page, shot('payment-made'))

  begin(`${name}: a payment that is unticked, and the rest allowed`)
  await askForPayment(page, '55.55', 'Third party')
  if (await page.locator('#login').count()) await logIn(page)
  const payment = page.locator('fieldset', { hasText: '55.55' })
  await payment.getByRole('checkbox').first().uncheck()
  await page.click('#approve')
  await page.waitForURL(`${fintech}/**`)
  await looks(page, shot('narrowed'))
  await page.goto(`${fintech}/payments`)
  assert.ok(!(await text(page)).includes('55.55'), 'a payment was made that was not allowed')

  begin(`${name}: a payment denied`)
  await askForPayment(page, '99.00', 'Somebody else')
  if (await page.locator('#login').count()) await logIn(page)
  await has(page, '99.00', 'Somebody else')
  await page.click('#deny')
  await page.waitForURL(`${fintech}/**`)
  await looks(page, shot('denied'))
  await page.goto(`${fintech}/payments`)
  assert.ok(!(await text(page)).includes('99.00'), 'the denied payment was made')
  await looks(page, shot('payments'))

  begin(`${name}: what the fintech may do, at both`)
  await page.goto(`${fintech}/grants`)
  await looks(page, shot('grants'))
  await page.goto(`${bank}/apps`)
  if (await page.locator('#login').count()) await logIn(page)
  await looks(page, shot('apps'))

  begin(`${name}: taken back at the bank`)
  while (await page.locator('button[name=revoke]').count()) await page.locator('button[name=revoke]').first().click()
  await looks(page, shot('apps-none'))
  await page.goto(`${fintech}/accounts`)
  assert.ok(!(await text(page)).includes('DE'), 'accounts are shown without a permission')
  await has(page, 'no longer')
  await looks(page, shot('accounts-none'))
  await page.goto(`${fintech}/grants`)
  await has(page, 'nothing')

  assert.deepEqual(failures.filter((f) => !f.includes('status of 4')), [], 'in the console')
  await context.close()
}

const launched = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
try {
  await visit(launched, { width: 1280, height: 800 }, 'desktop')
  await visit(launched, { width: 390, height: 844 }, 'phone')
  console.log(JSON.stringify({ ok: true, steps }))
} catch (error) {
  console.log(JSON.stringify({ ok: false, step, error: error.message }))
} finally {
  await launched.close()
}
process.exit(0)
