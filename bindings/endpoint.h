/* Where a service of AWS answers in a region, and for which region requests to it are signed. */
#ifndef ISOQ_BINDINGS_ENDPOINT_H
#define ISOQ_BINDINGS_ENDPOINT_H

#include <stdbool.h>

#include "bindings/aws.h"
#include "bindings/aws_error.h"

struct aws_settings;

#define ENDPOINT_REGION_DEFAULT "us-east-1"
#define ENDPOINT_REGION_MAX 64

struct endpoint_service { /* a row of aws_services.def */
  const char *signing_name, *host_prefix, *settings_id, *global_region;
  enum aws_error_format errors;
};

const struct endpoint_service *endpoint_service(enum aws_service service);

/* Lower-case letters, digits and hyphens: it becomes part of a host name. */
bool endpoint_region_is_valid(const char *region);

/* "aws", "aws-cn", "aws-us-gov": as in ARNs. */
const char *endpoint_partition(const char *region);

struct endpoint {
  char url[1024]; /* with the path */
  char signing_region[ENDPOINT_REGION_MAX];
};

/* `region` is valid. `path` begins with a slash. 0 or -EINVAL: too long. */
int endpoint_find(const struct aws_settings *settings, enum aws_service service, const char *region,
                  const char *path, struct endpoint *out);

#endif
