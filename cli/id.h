/* Names for jobs: UUIDs of version 7 (RFC 9562), which sort by the time they were made. */
#ifndef ISOQ_CLI_ID_H
#define ISOQ_CLI_ID_H

#define ID_SIZE 37

void id_make(char id[static ID_SIZE]);

#endif
