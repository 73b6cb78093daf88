// A small DOMException, for the errors of atob, structuredClone and crypto in the job's realm.

import { defineHidden } from './webidl.js';

const codes = {
  IndexSizeError: 1, DOMStringSizeError: 2, HierarchyRequestError: 3, WrongDocumentError: 4, InvalidCharacterError: 5,
  NoDataAllowedError: 6, NoModificationAllowedError: 7, NotFoundError: 8, NotSupportedError: 9,
  InUseAttributeError: 10, InvalidStateError: 11, SyntaxError: 12, InvalidModificationError: 13, NamespaceError: 14,
  InvalidAccessError: 15, ValidationError: 16, TypeMismatchError: 17, SecurityError: 18, NetworkError: 19,
  AbortError: 20, URLMismatchError: 21, QuotaExceededError: 22, TimeoutError: 23, InvalidNodeTypeError: 24,
  DataCloneError: 25,
};

const constantOf = (name) => `${name.replace(/Error$/, '').replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()}_ERR`
  .replace('URLMISMATCH', 'URL_MISMATCH').replace('IN_USE', 'INUSE');

class DOMException extends Error {
  #name;

  constructor(message = '', options = 'Error') {
    super(`${message}`);
    defineHidden(this, 'message', `${message}`);
    if (options !== null && typeof options === 'object') {
      this.#name = options.name === undefined ? 'Error' : `${options.name}`;
      if ('cause' in options) defineHidden(this, 'cause', options.cause);
    } else {
      this.#name = `${options}`;
    }
    // Again, now that the name is known: the stack begins with it.
    Error.captureStackTrace?.(this, new.target);
  }

  get name() {
    return #name in this ? this.#name : 'Error';
  }

  get code() {
    return (#name in this && Object.hasOwn(codes, this.#name)) ? codes[this.#name] : 0;
  }
}

Object.defineProperty(DOMException.prototype, Symbol.toStringTag, { value: 'DOMException', configurable: true });
for (const [name, code] of Object.entries(codes)) {
  const constant = { value: code, enumerable: true };
  Object.defineProperty(DOMException, constantOf(name), constant);
  Object.defineProperty(DOMException.prototype, constantOf(name), constant);
}

export default { DOMException };
