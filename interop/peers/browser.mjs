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

// looks checks a page as it is shown, in both colour schemes: nothing that axe-core calls a violation, and nothing wider than
// the screen. Then it takes a picture of each.
async function looks(page, name) {
  await page.addScriptTag({ path: axe })
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    const violations = await evaluateAxe(page)
    assert.deepEqual(violations, [], `${name}, ${colorScheme}: accessibility`)
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    assert.ok(overflow <= 0, `${name}: ${overflow} pixels wider than the screen`)
    await page.screenshot({ path: path.join(screenshots, `${name}${colorScheme === 'dark' ? '-dark' : ''}.png`), fullPage: true })
  }
  await page.emulateMedia({ colorScheme: 'light' })
}

function evaluateAxe(page) {
  return page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })
    return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)
  })
}

// What the pages say, by language.
const words = {
  en: { connect: 'Connect your bank', heading: 'Pay 12.34 EUR to ACME', amount: '12.34 EUR', partial: 'You did not allow us to see your accounts', briefly: 'for a few minutes', denied: 'did not agree', done: 'Paid', ended: 'has ended', over: 'no longer', nothing: 'nothing', made: 'Done' },
  de: { connect: 'Bank verbinden', heading: '12,34 EUR an ACME zahlen', amount: '12,34 EUR', partial: 'Sie haben uns nicht erlaubt', briefly: 'einige Minuten', denied: 'nicht zugestimmt', done: 'Bezahlt', ended: 'ist beendet', over: 'nicht mehr', nothing: 'nichts', made: 'Erledigt' },
}

const text = (page) => page.locator('main').innerText()
const has = async (page, ...wanted) => {
  const shown = await text(page)
  for (const word of wanted) assert.ok(shown.includes(word), `no ${JSON.stringify(word)} in:\n${shown}`)
}
const hasNot = async (page, word) => assert.ok(!(await text(page)).includes(word), `${JSON.stringify(word)} is shown`)
const at = (page, origin) => assert.equal(new URL(page.url()).origin, origin, `at ${page.url()}`)
const atFintech = async (page) => {
  await page.waitForURL(`${fintech}/**`)
  assert.ok(!/[?&](code|response)=/.test(page.url()), `a code stays in the address bar: ${page.url()}`)
}

async function logIn(page, name) {
  at(page, bank)
  await page.fill('#username', user)
  await page.fill('#password', password)
  if (name) await looks(page, name)
  await page.click('#login')
}

async function connect(page, language) {
  await page.goto(`${fintech}/`)
  await page.getByRole('button', { name: words[language].connect }).click()
}

async function askForPayment(page, amount, payee) {
  await page.goto(`${fintech}/payment`)
  await page.fill('#payee', payee)
  await page.fill('#iban', 'DE89370400440532013000')
  await page.fill('#amount', amount)
  await page.fill('#reference', 'Invoice 42')
  await page.click('main button')
}

// press moves the focus by the tabulator key until it is on what the selector says, and presses a key there.
async function press(page, selector, key = 'Enter') {
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab')
    if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) {
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
      assert.notEqual(outline, 'none', `the focus on ${selector} is not seen`)
      return page.keyboard.press(key)
    }
  }
  assert.fail(`the keyboard does not reach ${selector}`)
}

// oneLine requires that each IBAN in sight is on one line.
async function oneLine(page, name) {
  const broken = await page.evaluate(() => [...document.querySelectorAll('dd, .number')].filter((e) => /^[A-Z]{2}[0-9]{2}[ 0-9]{14,}$/.test(e.textContent.trim()))
    .filter((e) => e.getBoundingClientRect().height > 1.9 * parseFloat(getComputedStyle(e).lineHeight)).map((e) => e.textContent))
  assert.deepEqual(broken, [], `${name}: an IBAN is broken into lines`)
}

// visit acts as a user, from the first page to the revocation of the last permission.
async function visit(launched, { size, language, name }) {
  const say = words[language]
  const context = await launched.newContext({ viewport: size, locale: language, ignoreHTTPSErrors: true, bypassCSP: true, hasTouch: size.width < 600, isMobile: size.width < 600 })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const failures = []
  page.on('console', (m) => { if (m.type() === 'error') failures.push(m.text()) })
  page.on('pageerror', (e) => failures.push(String(e)))
  const shot = (what) => `${name}-${what}`

  begin(`${name}: the fintech's home page`)
  await page.goto(`${fintech}/`)
  assert.equal(await page.getAttribute('html', 'lang'), language)
  await looks(page, shot('home'))

  begin(`${name}: a wrong password`)
  await connect(page, language)
  await page.fill('#username', user)
  await page.fill('#password', 'not it')
  await page.click('#login')
  at(page, bank)
  assert.equal(await page.getAttribute('#problem', 'role'), 'alert')
  await looks(page, shot('wrong-password'))

  begin(`${name}: login, after a reload`)
  await page.goto(page.url())
  await logIn(page, shot('login'))

  begin(`${name}: a partial consent, without the accounts`)
  at(page, bank)
  await looks(page, shot('consent'))
  assert.equal(await page.locator('input[value=openid]').count(), 0, 'openid is not a choice')
  await page.uncheck('input[value=accounts]')
  await page.click('#approve')
  await atFintech(page)
  await has(page, say.partial)
  await looks(page, shot('partial'))

  begin(`${name}: nothing ticked is a denial`)
  await connect(page, language)
  await page.locator('#approve').waitFor() // the list does not wait for the page
  for (const box of await page.locator('input[type=checkbox]').all()) await box.uncheck()
  await page.click('#approve')
  await atFintech(page)
  await has(page, say.denied)

  begin(`${name}: accounts, for a few minutes and then for longer`)
  await connect(page, language)
  await page.uncheck('input[value=offline_access]')
  await page.click('#approve')
  await atFintech(page)
  await has(page, say.briefly, 'DE')
  await looks(page, shot('accounts-briefly'))
  await connectAgain(page)
  await connect(page, language)
  await page.click('#approve')
  await atFintech(page)
  await has(page, 'IBAN')
  await hasNot(page, say.briefly)
  await oneLine(page, shot('accounts'))
  await looks(page, shot('accounts'))

  begin(`${name}: a payment, by a double click`)
  await askForPayment(page, '12.34', 'ACME')
  at(page, bank)
  assert.equal(await page.locator('h1').innerText(), say.heading)
  await has(page, 'Invoice 42')
  await oneLine(page, shot('payment-consent'))
  await looks(page, shot('payment-consent'))
  await page.evaluate(() => { const b = document.getElementById('approve'); b.click(); b.click() })
  await atFintech(page)
  await has(page, say.amount, 'ACME', say.done)
  await looks(page, shot('payment-made'))

  begin(`${name}: the same once more: back, and the form again`)
  await page.goBack()
  await page.goto(`${fintech}/payments`)
  assert.equal(await page.locator('main h2', { hasText: 'ACME' }).count(), 1, 'one payment was made')

  begin(`${name}: a payment denied`)
  await askForPayment(page, '99.00', 'Somebody else')
  await has(page, 'Somebody else')
  await page.click('#deny')
  await atFintech(page)
  await has(page, say.denied)
  await looks(page, shot('denied'))
  await page.goto(`${fintech}/payments`)
  await hasNot(page, 'Somebody else')

  begin(`${name}: what the fintech may do, at both`)
  await page.goto(`${fintech}/grants`)
  await looks(page, shot('grants'))
  await hasNot(page, 'ACME')
  await page.goto(`${bank}/apps`)
  await has(page, say.made, 'ACME')
  await looks(page, shot('apps'))

  begin(`${name}: taken back at the bank, after a question`)
  while (await page.locator('button[name=revoke]').count()) {
    await page.locator('button[name=revoke]').first().click()
    await looks(page, shot('revoke'))
    await page.click('#confirm')
    assert.ok((await page.locator('#ended').innerText()).includes(say.ended))
  }
  await looks(page, shot('apps-none'))
  await page.goto(`${fintech}/accounts`)
  await has(page, say.over)
  await looks(page, shot('accounts-none'))
  await page.goto(`${fintech}/grants`)
  await has(page, say.nothing)

  assert.deepEqual(failures.filter((f) => !f.includes('status of 4')), [], 'in the console')
  await context.close()
}

async function connectAgain(page) {
  await page.goto(`${fintech}/`)
  await page.locator('form[action="/disconnect"] button').click()
}

// byKeyboard pays without a mouse, and with the policy of the pages in force.
async function byKeyboard(launched) {
  const context = await launched.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en', ignoreHTTPSErrors: true })
  context.setDefaultTimeout(15_000)
  const page = await context.newPage()
  const failures = []
  page.on('console', (m) => { if (m.type() === 'error') failures.push(m.text()) })
  begin('keyboard alone: a payment')
  await page.goto(`${fintech}/payment`)
  await press(page, 'a.skip')
  for (const [field, value] of [['payee', 'ACME'], ['iban', 'DE89370400440532013000'], ['amount', '7.50']]) {
    await page.focus(`#${field}`)
    await page.keyboard.type(value)
  }
  await page.keyboard.press('Enter')
  await page.waitForSelector('#username')
  await press(page, '#username', 'A')
  await page.fill('#username', '')
  await page.keyboard.type(user)
  await page.keyboard.press('Tab')
  await page.keyboard.type(password)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#approve')
  await press(page, '#approve')
  await atFintech(page)
  await has(page, '7.50 EUR to ACME', 'Paid')
  assert.deepEqual(failures, [], 'in the console')
  await context.close()
}

const launched = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
try {
  await visit(launched, { size: { width: 1280, height: 800 }, language: 'en', name: 'desktop' })
  await visit(launched, { size: { width: 360, height: 740 }, language: 'en', name: 'phone' })
  await visit(launched, { size: { width: 1280, height: 800 }, language: 'de', name: 'desktop-de' })
  await visit(launched, { size: { width: 360, height: 740 }, language: 'de', name: 'phone-de' })
  await byKeyboard(launched)
  console.log(JSON.stringify({ ok: true, steps }))
} catch (error) {
  console.log(JSON.stringify({ ok: false, step, error: error.message }))
} finally {
  await launched.close()
}
process.exit(0)
