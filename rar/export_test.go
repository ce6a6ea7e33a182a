package rar

// LocationPattern is the published pattern, and LocationForm what is enforced.
const LocationPattern = locationPattern

type LocationForm = locationForm
