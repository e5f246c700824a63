/*
 * config_hosts.h: the settings that choose endpoints: AWS_ENDPOINT_URL[_SERVICE], services sections, FIPS, dual-stack,
 * addressing of buckets. Order as in botocore (ConfiguredEndpointProvider): the environment's for the service, the
 * environment's for all, the profile's services section, the profile's. Used by config.c only.
 */
#ifndef SAGEMAKER_CONFIG_HOSTS_H
#define SAGEMAKER_CONFIG_HOSTS_H

#include "sagemaker/config.h"
#include "sagemaker/config_lookup.h"

/* config_hosts: fills c's service_url and what decides between AWS's own hosts. EINVAL with the setting's name. */
int config_hosts(struct config *c, struct lookup *l, struct err *e) _must_check_;

#endif
