/* The texts of a few elements of an XML answer: all that STS needs. */
#ifndef ISOQ_BINDINGS_AWS_XML_H
#define ISOQ_BINDINGS_AWS_XML_H

#include <stddef.h>

struct aws_xml_want {
  const char *path; /* "Credentials/AccessKeyId": the innermost elements' names, at any depth */
  char *text;       /* of the first such element, owned; NULL: there is none */
};

/*
 * Fills in `wants`, UTF-8; free them with aws_xml_free(), after errors as well. 0, -ENOMEM, or -EINVAL: no
 * XML, deeper than 16, longer than 1 MiB, or with a document type (nothing of AWS has one, and entities come
 * from there).
 */
int aws_xml_find(const char *text, size_t len, struct aws_xml_want *wants, size_t count);
/* Overwrites what it frees. */
void aws_xml_free(struct aws_xml_want *wants, size_t count);

#endif
