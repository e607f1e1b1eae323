"""Host names of one's own: where their records go, their certificates, their addresses."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_aws import acm, route53

from components.blocks import validation


@dataclass(frozen=True, kw_only=True)
class CustomDomain:
    """A host name, and the hosted zone that answers for it."""

    host: str
    zone_id: pulumi.Input[str]

    def __post_init__(self) -> None:
        validation.require(self, host=validation.HOST)


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A domain and its hosted zone."""

    domain: str
    zone_id: pulumi.Input[str]

    def host(self, label: str) -> CustomDomain:
        return CustomDomain(host=f"{label}.{self.domain}", zone_id=self.zone_id)


def zone_of(domain: str | None, zone_id: str | None, opts: pulumi.InvokeOptions) -> Zone | None:
    """The zone of a domain: the given one, else the public hosted zone of that very name in the account."""
    if domain is None:
        return None
    if zone_id is not None:
        return Zone(domain=domain, zone_id=zone_id)
    found = route53.get_zone_output(name=domain, private_zone=False, opts=opts)
    return Zone(domain=domain, zone_id=found.zone_id)


class ValidatedCertificate(pulumi.ComponentResource):
    """`avatars:index:ValidatedCertificate`

    A TLS certificate for one host, and the proof through DNS that the host is ours.

    Makes: the certificate, the validation record, the validation.
    """

    certificate_arn: pulumi.Output[str]
    """Known when the certificate has been issued: what takes it earlier is refused by AWS."""

    def __init__(
        self,
        name: str,
        domain: CustomDomain,
        region: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`region` is where the certificate is used, if that is not where the stack is."""
        super().__init__("avatars:index:ValidatedCertificate", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        certificate = acm.Certificate(name, domain_name=domain.host, validation_method="DNS", region=region, opts=child)
        # One name has one option; indexed, not looped over, so that a preview knows the record too.
        proof = certificate.domain_validation_options[0]
        record = route53.Record(
            f"{name}-proof",
            zone_id=domain.zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=300,
            opts=child,
        )
        validation = acm.CertificateValidation(
            f"{name}-validation",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            region=region,
            opts=child,
        )

        self.certificate_arn = validation.certificate_arn
        self.register_outputs({"certificate_arn": self.certificate_arn})


def alias_records(
    name: str,
    domain: CustomDomain,
    target_host: pulumi.Input[str],
    target_zone_id: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Points the host at an AWS endpoint, over IPv4 and IPv6."""
    for type_ in ("A", "AAAA"):
        route53.Record(
            f"{name}-{type_.lower()}",
            zone_id=domain.zone_id,
            name=domain.host,
            type=type_,
            aliases=[route53.RecordAliasArgs(name=target_host, zone_id=target_zone_id, evaluate_target_health=False)],
            opts=opts,
        )
