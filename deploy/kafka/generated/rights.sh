#!/bin/bash
# Makes topics, users and rights on a broker. Generated from the tables of topics and rights by `doorstep schemas`.
# In the environment: BOOTSTRAP, a listener on which one is super user, and PASSWORD_<USER> of each user to be made.
# May be run again: what is there stays, passwords are set anew.
set -euo pipefail
cd /opt/kafka/bin
topic() { ./kafka-topics.sh --bootstrap-server "$BOOTSTRAP" --create --if-not-exists --topic "$1" --partitions "$2" \
  --config "retention.ms=$3"; }
user() {
  local password="PASSWORD_${1//-/_}"
  password="${password^^}"
  [ -z "${!password:-}" ] || ./kafka-configs.sh --bootstrap-server "$BOOTSTRAP" --alter --entity-type users \
    --entity-name "$1" --add-config "SCRAM-SHA-512=[password=${!password}]"
}
allow() {
  local user="$1"
  shift
  ./kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal "User:$user" "$@"
}

topic intake.visits 4 1209600000
topic intake.visits.registry.dead-letter 1 1209600000
topic intake.visits.gateway.dead-letter 1 1209600000
topic intake.orders 1 1209600000
topic intake.orders.referral.dead-letter 1 1209600000
topic registry.facts 4 1209600000
topic registry.facts.risk.dead-letter 1 1209600000
topic registry.facts.audit.dead-letter 1 1209600000
topic registry.facts.gateway.dead-letter 1 1209600000
topic registry.erasures 1 1209600000
topic registry.erasures.intake.dead-letter 1 1209600000
topic registry.erasures.risk.dead-letter 1 1209600000
topic registry.erasures.referral.dead-letter 1 1209600000
topic registry.erasures.audit.dead-letter 1 1209600000
topic registry.erasures.gateway.dead-letter 1 1209600000
topic registry.exclusions 1 1209600000
topic registry.exclusions.intake.dead-letter 1 1209600000
topic registry.exclusions.risk.dead-letter 1 1209600000
topic registry.exclusions.referral.dead-letter 1 1209600000
topic registry.exclusions.gateway.dead-letter 1 1209600000
topic registry.proxies 1 1209600000
topic registry.proxies.referral.dead-letter 1 1209600000
topic registry.proxies.audit.dead-letter 1 1209600000
topic registry.departures 1 1209600000
topic registry.departures.intake.dead-letter 1 1209600000
topic registry.departures.risk.dead-letter 1 1209600000
topic registry.departures.referral.dead-letter 1 1209600000
topic registry.departures.audit.dead-letter 1 1209600000
topic registry.departures.gateway.dead-letter 1 1209600000
topic registry.openings 1 1209600000
topic registry.openings.intake.dead-letter 1 1209600000
topic registry.openings.risk.dead-letter 1 1209600000
topic registry.openings.referral.dead-letter 1 1209600000
topic risk.needs 4 1209600000
topic risk.needs.referral.dead-letter 1 1209600000
topic risk.needs.gateway.dead-letter 1 1209600000
topic referral.tasks 4 1209600000
topic referral.tasks.gateway.dead-letter 1 1209600000
topic referral.attestations 1 1209600000
topic referral.attestations.registry.dead-letter 1 1209600000
topic feed.civil-affairs 1 1209600000
topic feed.health 1 1209600000
topic feed.justice 1 1209600000
topic feed.fire 1 1209600000
topic feed.labour 1 1209600000
topic feed.housing 1 1209600000
topic audit.entry.intake 1 1209600000
topic audit.entry.intake.audit.dead-letter 1 1209600000
topic audit.entry.registry 1 1209600000
topic audit.entry.registry.audit.dead-letter 1 1209600000
topic audit.entry.risk 1 1209600000
topic audit.entry.risk.audit.dead-letter 1 1209600000
topic audit.entry.referral 1 1209600000
topic audit.entry.referral.audit.dead-letter 1 1209600000
topic audit.entry.gateway 1 1209600000
topic audit.entry.gateway.audit.dead-letter 1 1209600000
user intake
allow intake --operation Read --operation Write --operation Describe --topic intake.visits --topic intake.orders --topic audit.entry.intake --topic registry.erasures.intake.dead-letter --topic registry.exclusions.intake.dead-letter --topic registry.departures.intake.dead-letter --topic registry.openings.intake.dead-letter
allow intake --operation Read --operation Describe --topic registry.erasures --topic registry.exclusions --topic registry.departures --topic registry.openings
allow intake --operation Read --operation Describe --group intake
user registry
allow registry --operation Read --operation Write --operation Describe --topic registry.facts --topic registry.erasures --topic registry.exclusions --topic registry.proxies --topic registry.departures --topic registry.openings --topic audit.entry.registry --topic intake.visits.registry.dead-letter --topic referral.attestations.registry.dead-letter
allow registry --operation Read --operation Describe --topic intake.visits --topic referral.attestations
allow registry --operation Read --operation Describe --group registry
user risk
allow risk --operation Read --operation Write --operation Describe --topic risk.needs --topic audit.entry.risk --topic registry.facts.risk.dead-letter --topic registry.erasures.risk.dead-letter --topic registry.exclusions.risk.dead-letter --topic registry.departures.risk.dead-letter --topic registry.openings.risk.dead-letter
allow risk --operation Read --operation Describe --topic registry.facts --topic registry.erasures --topic registry.exclusions --topic registry.departures --topic registry.openings
allow risk --operation Read --operation Describe --group risk
user referral
allow referral --operation Read --operation Write --operation Describe --topic referral.tasks --topic referral.attestations --topic feed.civil-affairs --topic feed.health --topic feed.justice --topic feed.fire --topic feed.labour --topic feed.housing --topic audit.entry.referral --topic intake.orders.referral.dead-letter --topic registry.erasures.referral.dead-letter --topic registry.exclusions.referral.dead-letter --topic registry.proxies.referral.dead-letter --topic registry.departures.referral.dead-letter --topic registry.openings.referral.dead-letter --topic risk.needs.referral.dead-letter
allow referral --operation Read --operation Describe --topic intake.orders --topic registry.erasures --topic registry.exclusions --topic registry.proxies --topic registry.departures --topic registry.openings --topic risk.needs
allow referral --operation Read --operation Describe --group referral
user audit
allow audit --operation Read --operation Write --operation Describe --topic registry.facts.audit.dead-letter --topic registry.erasures.audit.dead-letter --topic registry.proxies.audit.dead-letter --topic registry.departures.audit.dead-letter --topic audit.entry.intake.audit.dead-letter --topic audit.entry.registry.audit.dead-letter --topic audit.entry.risk.audit.dead-letter --topic audit.entry.referral.audit.dead-letter --topic audit.entry.gateway.audit.dead-letter
allow audit --operation Read --operation Describe --topic registry.facts --topic registry.erasures --topic registry.proxies --topic registry.departures --topic audit.entry.intake --topic audit.entry.registry --topic audit.entry.risk --topic audit.entry.referral --topic audit.entry.gateway
allow audit --operation Read --operation Describe --group audit
user gateway
allow gateway --operation Read --operation Write --operation Describe --topic audit.entry.gateway --topic intake.visits.gateway.dead-letter --topic registry.facts.gateway.dead-letter --topic registry.erasures.gateway.dead-letter --topic registry.exclusions.gateway.dead-letter --topic registry.departures.gateway.dead-letter --topic risk.needs.gateway.dead-letter --topic referral.tasks.gateway.dead-letter
allow gateway --operation Read --operation Describe --topic intake.visits --topic registry.facts --topic registry.erasures --topic registry.exclusions --topic registry.departures --topic risk.needs --topic referral.tasks
allow gateway --operation Read --operation Describe --group gateway
user department-civil-affairs
allow department-civil-affairs --operation Read --operation Describe --topic feed.civil-affairs
allow department-civil-affairs --operation Read --operation Describe --resource-pattern-type prefixed --group department-civil-affairs
user department-health
allow department-health --operation Read --operation Describe --topic feed.health
allow department-health --operation Read --operation Describe --resource-pattern-type prefixed --group department-health
user department-justice
allow department-justice --operation Read --operation Describe --topic feed.justice
allow department-justice --operation Read --operation Describe --resource-pattern-type prefixed --group department-justice
user department-fire
allow department-fire --operation Read --operation Describe --topic feed.fire
allow department-fire --operation Read --operation Describe --resource-pattern-type prefixed --group department-fire
user department-labour
allow department-labour --operation Read --operation Describe --topic feed.labour
allow department-labour --operation Read --operation Describe --resource-pattern-type prefixed --group department-labour
user department-housing
allow department-housing --operation Read --operation Describe --topic feed.housing
allow department-housing --operation Read --operation Describe --resource-pattern-type prefixed --group department-housing
