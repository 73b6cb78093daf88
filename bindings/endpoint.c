/*
 * Hosts are <prefix>.<region>.<suffix of the partition>, with "-fips" after the prefix for FIPS endpoints:
 * AWS General Reference, "AWS service endpoints" and "Service endpoints and quotas" of each service;
 * partitions in "Amazon Resource Names". STS is asked in its regional endpoints ("AWS STS Regional
 * endpoints", AWS SDKs and Tools Reference Guide).
 *
 * Organizations and Account are one service for a whole partition: whatever the region, they answer, and want
 * the signature, in the partition's main one. In AWS GovCloud the plain hosts of most services are the FIPS
 * ones.
 */
#include "bindings/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bindings/aws_settings.h"

static const struct endpoint_service services[] = {
#define X(id, signing_name, host_prefix, settings_id, global_region, errors)                                 \
  [AWS_##id] = {signing_name, host_prefix, settings_id, global_region, AWS_ERRORS_##errors},
#include "bindings/aws_services.def"
#undef X
};

struct partition {
  const char *region_prefix, *name, *suffix, *main_region;
};

static const struct partition partitions[] = {
    {"cn-", "aws-cn", "amazonaws.com.cn", "cn-northwest-1"},
    {"us-gov-", "aws-us-gov", "amazonaws.com", "us-gov-west-1"},
    {"", "aws", "amazonaws.com", NULL}, /* the main region stands in the table of services */
};

const struct endpoint_service *endpoint_service(enum aws_service service) {
  return &services[service];
}

bool endpoint_region_is_valid(const char *region) {
  const size_t len = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");

  return len > 0 && len < ENDPOINT_REGION_MAX && region[len] == '\0' && region[0] != '-' &&
         region[len - 1] != '-';
}

static const struct partition *partition_of(const char *region) {
  const struct partition *partition = partitions;

  while (strncmp(region, partition->region_prefix, strlen(partition->region_prefix)) != 0)
    partition++;
  return partition;
}

const char *endpoint_partition(const char *region) {
  return partition_of(region)->name;
}

static bool has_fips_host(const struct partition *partition, enum aws_service service) {
  return strcmp(partition->name, "aws-us-gov") != 0 || service == AWS_CLOUDCONTROL || service == AWS_ACCOUNT;
}

int endpoint_find(const struct aws_settings *settings, enum aws_service service, const char *region,
                  const char *path, struct endpoint *out) {
  const struct endpoint_service *row = &services[service];
  const struct partition *partition = partition_of(region);
  const char *signing_region = region;
  struct endpoint found;
  int len;

  if (row->global_region[0] != '\0')
    signing_region = partition->main_region != NULL ? partition->main_region : row->global_region;
  snprintf(found.signing_region, sizeof(found.signing_region), "%s", signing_region);
  if (settings->endpoints[service] != NULL)
    len = snprintf(found.url, sizeof(found.url), "%s%s", settings->endpoints[service], path);
  else
    len = snprintf(found.url, sizeof(found.url), "https://%s%s.%s.%s%s", row->host_prefix,
                   settings->fips && has_fips_host(partition, service) ? "-fips" : "", signing_region,
                   partition->suffix, path);
  if (len < 0 || (size_t)len >= sizeof(found.url)) return -EINVAL;
  *out = found;
  return 0;
}
