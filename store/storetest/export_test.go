package storetest

// LivesUntil is the check of a store's expiry. Real time is too short for it to
// fail.
var LivesUntil = lives

// TooSlow is the error of a check that did not look.
const TooSlow = tooSlow
