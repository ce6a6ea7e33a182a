package main

import "github.com/gofapi/fapi2/examples/internal/webtext"

// texts has every sentence of the pages, in English and German.
var texts = webtext.Texts{
	"skip":         {"Skip to the content", "Zum Inhalt springen"},
	"for":          {"for %s", "für %s"},
	"nav":          {"Pages", "Seiten"},
	"nav.home":     {"Home", "Start"},
	"nav.accounts": {"Accounts", "Konten"},
	"nav.pay":      {"Pay", "Zahlen"},
	"nav.payments": {"Payments", "Zahlungen"},
	"nav.allowed":  {"Allowed", "Erlaubt"},

	"home.title":        {"Your money at a glance", "Ihr Geld auf einen Blick"},
	"home.connected":    {"Your bank is connected.", "Ihre Bank ist verbunden."},
	"home.see_accounts": {"See your accounts", "Konten ansehen"},
	"home.pay":          {"Pay somebody", "Jemanden bezahlen"},
	"home.disconnect":   {"Disconnect the bank", "Bank trennen"},
	"home.intro": {
		"Connect your bank to see your accounts here. You log in at the bank, and it asks you what we may see. " +
			"We never see your password.",
		"Verbinden Sie Ihre Bank, um Ihre Konten hier zu sehen. Sie melden sich bei der Bank an, und sie fragt, " +
			"was wir sehen dürfen. Wir erfahren Ihr Passwort nicht.",
	},
	"home.choose": {
		"Connect your banks to see all your accounts here. You log in at each bank, and it asks you what we may " +
			"see. We never see your passwords.",
		"Verbinden Sie Ihre Banken, um alle Ihre Konten hier zu sehen. Sie melden sich bei jeder Bank an, und sie " +
			"fragt, was wir sehen dürfen. Wir erfahren Ihre Passwörter nicht.",
	},
	"home.as":      {"Connected", "Verbunden"},
	"home.away":    {"This bank does not respond at the moment.", "Diese Bank antwortet im Moment nicht."},
	"home.connect": {"Connect your bank", "Bank verbinden"},
	"home.no_need": {"You can pay somebody without connecting your bank: the bank asks you about each payment.",
		"Zum Bezahlen müssen Sie Ihre Bank nicht verbinden: Sie fragt Sie bei jeder Zahlung."},

	"accounts.title": {"Your accounts", "Ihre Konten"},
	"accounts.of":    {"Accounts of %s", "Konten von %s"},
	"accounts.none":  {"The bank shows us no accounts.", "Die Bank zeigt uns keine Konten."},
	"accounts.briefly": {"You allowed us to see your accounts for a few minutes. After that we ask you again.",
		"Sie haben uns erlaubt, Ihre Konten einige Minuten lang zu sehen. Danach fragen wir Sie noch einmal."},
	"accounts.problem": {"The bank cannot show your accounts at the moment.",
		"Die Bank kann Ihre Konten im Moment nicht anzeigen."},
	"accounts.currency": {"Currency", "Währung"},

	"payment.title":     {"Pay somebody", "Jemanden bezahlen"},
	"payment.wrong":     {"Nothing was paid.", "Es wurde nichts bezahlt."},
	"payment.bank":      {"Your bank", "Ihre Bank"},
	"payment.payee":     {"Name of the payee", "Name des Empfängers"},
	"payment.iban":      {"Account of the payee (IBAN)", "Konto des Empfängers (IBAN)"},
	"payment.amount":    {"Amount in euros", "Betrag in Euro"},
	"payment.reference": {"Reference (optional)", "Verwendungszweck (freiwillig)"},
	"payment.submit":    {"Continue at the bank", "Weiter zur Bank"},
	"payment.next": {
		"The bank shows you this payment and asks for your consent. Only then does it make the payment, and only " +
			"once.",
		"Die Bank zeigt Ihnen diese Zahlung und bittet um Ihre Zustimmung. Erst dann führt sie die Zahlung aus, " +
			"und nur einmal.",
	},
	"problem.amount": {"Please enter an amount in euros, for example 12.50.",
		"Bitte geben Sie einen Betrag in Euro ein, zum Beispiel 12,50."},
	"problem.payee": {"The name of the payee is missing or too long.",
		"Der Name des Empfängers fehlt oder ist zu lang."},
	"problem.iban": {"This is not a valid IBAN. Please check the digits.",
		"Das ist keine gültige IBAN. Bitte prüfen Sie die Ziffern."},
	"problem.no_iban":   {"Please enter the IBAN of the payee.", "Bitte geben Sie die IBAN des Empfängers ein."},
	"problem.reference": {"Please shorten the reference.", "Bitte kürzen Sie den Verwendungszweck."},
	"problem.too_much":  {"The text is too long.", "Der Text ist zu lang."},
	"problem.form": {"The form did not arrive completely. Please try again.",
		"Das Formular kam nicht vollständig an. Bitte versuchen Sie es noch einmal."},
	"problem.other": {"The bank would not accept this payment.", "Die Bank würde diese Zahlung nicht annehmen."},

	"payments.title": {"Your payments", "Ihre Zahlungen"},
	"payments.none":  {"There are no payments yet.", "Es gibt noch keine Zahlungen."},
	"payments.one":   {"%s to %s", "%s an %s"},
	"payments.made":  {"Paid", "Bezahlt"},
	"payments.unknown": {"We do not know whether the payment was made, because the bank did not respond.",
		"Wir wissen nicht, ob die Zahlung ausgeführt wurde, weil die Bank nicht geantwortet hat."},
	"payments.retry": {"Try again without paying twice", "Noch einmal versuchen, ohne doppelt zu bezahlen"},
	"payments.more":  {"More about this payment", "Mehr zu dieser Zahlung"},
	"payments.says":  {"The bank says", "Die Bank sagt"},
	"payments.again": {"The payment was made once. Your permission is used up, and we have ended it.",
		"Die Zahlung wurde einmal ausgeführt. Ihre Erlaubnis ist verbraucht, und wir haben sie beendet."},

	"grants.title":    {"What you have allowed", "Was Sie erlaubt haben"},
	"grants.none":     {"You have allowed nothing yet.", "Sie haben noch nichts erlaubt."},
	"grants.accounts": {"Your accounts", "Ihre Konten"},
	"grants.payment":  {"A payment", "Eine Zahlung"},
	"grants.may":      {"We may", "Wir dürfen"},
	"grants.problem": {"The bank cannot show the details at the moment.",
		"Die Bank kann die Einzelheiten im Moment nicht anzeigen."},
	"grants.unmanaged": {"This bank shows no further details here. You find them on the bank's own pages.",
		"Diese Bank zeigt hier keine weiteren Einzelheiten. Sie finden sie auf den Seiten der Bank."},
	"grants.end":         {"End permission", "Erlaubnis beenden"},
	"grants.unexplained": {"Something that only the bank can explain", "Etwas, das nur die Bank erklären kann"},
	"grants.it_says":     {"Wording", "Wortlaut"},
	"grants.ended": {"You have ended the permission. We can no longer use it.",
		"Sie haben die Erlaubnis beendet. Wir können sie nicht mehr nutzen."},
	"end.title": {"End this permission?", "Diese Erlaubnis beenden?"},
	"end.consequence": {"We can then no longer use this permission. Payments already made are not undone.",
		"Wir können diese Erlaubnis dann nicht mehr nutzen. Bereits ausgeführte Zahlungen bleiben bestehen."},
	"end.keep":       {"Keep it", "Behalten"},
	"scope.accounts": {"see your accounts", "Ihre Konten sehen"},
	"scope.payments": {"make the payment that you agreed to", "die Zahlung ausführen, der Sie zugestimmt haben"},
	"scope.openid":   {"know who you are at the bank", "wissen, wer Sie bei der Bank sind"},
	"scope.profile":  {"see your user name", "Ihren Benutzernamen sehen"},
	"scope.offline_access": {"keep access while you are not logged in",
		"auch zugreifen, wenn Sie nicht angemeldet sind"},

	"failure.title":     {"That did not work", "Das hat nicht geklappt"},
	"failure.developer": {"For developers", "Für Entwickler"},
	"failure.home":      {"To the start page", "Zur Startseite"},
	"failure.again": {"Something went wrong between us and the bank. Please try again.",
		"Zwischen uns und der Bank ist etwas schiefgegangen. Bitte versuchen Sie es noch einmal."},
	"failure.store": {"We cannot reach our own data at the moment. Please try again soon.",
		"Wir erreichen unsere eigenen Daten gerade nicht. Bitte versuchen Sie es bald noch einmal."},
	"failure.site": {"Another website has sent your browser here. Nothing was done.",
		"Eine andere Website hat Ihren Browser hierher geschickt. Es wurde nichts ausgeführt."},
	"failure.expired": {"This page has expired, or you have already finished. Please start again.",
		"Diese Seite ist abgelaufen, oder der Vorgang ist schon abgeschlossen. Bitte beginnen Sie neu."},
	"failure.bank": {"We do not know this bank. Please choose a bank.",
		"Wir kennen diese Bank nicht. Bitte wählen Sie eine Bank."},
	"failure.answer": {"The bank's response does not match what you have started here. Nothing was done.",
		"Die Antwort der Bank passt nicht zu dem Vorgang, den Sie hier begonnen haben. Es wurde nichts ausgeführt."},
	"failure.denied": {"You or the bank did not agree. Nothing was done.",
		"Sie oder die Bank haben nicht zugestimmt. Es wurde nichts ausgeführt."},
	"failure.partial": {
		"You did not allow us to see your accounts, so we cannot continue. We have ended the rest of your " +
			"permission. You can connect the bank again, or pay somebody.",
		"Sie haben uns nicht erlaubt, Ihre Konten zu sehen. Wir können daher nicht fortfahren und haben den Rest " +
			"Ihrer Erlaubnis beendet. Sie können die Bank neu verbinden oder jemanden bezahlen.",
	},
	"failure.not_found": {"There is no such page.", "Diese Seite gibt es nicht."},
	"over.title":        {"Access has ended", "Der Zugriff ist beendet"},
	"over.text": {
		"The bank no longer shows us your accounts: you have ended the permission there, or it has expired. You " +
			"can connect the bank again.",
		"Die Bank zeigt uns Ihre Konten nicht mehr: Sie haben die Erlaubnis dort beendet, oder sie ist " +
			"abgelaufen. Sie können die Bank neu verbinden.",
	},
}
