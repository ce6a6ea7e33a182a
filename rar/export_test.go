package rar

// LocationPattern is the published pattern, and LocationForm enforces it.
const LocationPattern = locationPattern

type LocationForm = locationForm
