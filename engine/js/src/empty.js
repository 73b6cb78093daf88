// Stands in for modules that are imported for an effect the bundle does not want.

export {};
