"""Custom domain names: hosted zone, certificate, alias records."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import acm, route53

from components.blocks import validation


@dataclass(frozen=True, kw_only=True)
class CustomDomain:
    """A host name and the hosted zone for its records."""

    host: str
    """In lower case, such as assets.example.com, at most 64 characters."""
    zone_id: pulumi.Input[str]
    """The ID of the Route 53 hosted zone."""

    def __post_init__(self) -> None:
        validation.require(self, host=validation.HOST)


@dataclass(frozen=True, kw_only=True)
class HostedZone:
    """A domain and its Route 53 hosted zone."""

    domain: str
    zone_id: pulumi.Input[str]

    def subdomain(self, label: str) -> CustomDomain:
        return CustomDomain(host=f"{label}.{self.domain}", zone_id=self.zone_id)


def find_zone(domain: str | None, zone_id: pulumi.Input[str] | None, opts: pulumi.InvokeOptions) -> HostedZone | None:
    """Returns the hosted zone `zone_id`, or looks up the account's public hosted zone named `domain`.

    The zone's ID raises a pulumi.RunError if there is none.
    """
    if domain is None:
        return None
    if zone_id is not None:
        return HostedZone(domain=domain, zone_id=zone_id)
    zone_id = route53.get_zone_output(name=domain, private_zone=False, opts=opts).zone_id
    found = pulumi.Output.from_input(_name_missing_zone(domain, zone_id))
    return HostedZone(domain=domain, zone_id=found.apply(lambda known: known))


async def _name_missing_zone(domain: str, zone_id: pulumi.Output[str]) -> pulumi.Output[str]:
    """Returns `zone_id`; Pulumi prints a RunError without a stack trace.

    The text is the provider's: https://github.com/hashicorp/terraform-provider-aws, internal/service/route53.
    """
    try:
        await zone_id.future()
    except Exception as error:
        if "no matching" not in str(error):
            raise
        raise pulumi.RunError(
            f"domain {domain}: the account has no public Route 53 hosted zone of this name. Create it, or set "
            "hostedZoneId to the ID of the zone for the domain's records."
        ) from None
    return zone_id


class ValidatedCertificate(pulumi.ComponentResource):
    """`avatars:index:ValidatedCertificate`

    Creates an ACM certificate with DNS validation, the validation record, and the validation.
    """

    certificate_arn: pulumi.Output[str]
    """Known after the certificate is issued: AWS rejects the use of one that is not."""

    def __init__(
        self,
        name: str,
        domain: CustomDomain,
        region: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`region` is the certificate's region, if it is not the provider's."""
        super().__init__("avatars:index:ValidatedCertificate", name, None, opts)
        child_options = pulumi.ResourceOptions(parent=self)

        certificate = acm.Certificate(
            name, domain_name=domain.host, validation_method="DNS", region=region, opts=child_options
        )
        # One domain name has one option. Indexed instead of iterated over, so that a preview shows the record.
        option = certificate.domain_validation_options[0]
        record = route53.Record(
            f"{name}-validation-record",
            zone_id=domain.zone_id,
            name=option.resource_record_name,
            type=option.resource_record_type,
            records=[option.resource_record_value],
            ttl=300,
            opts=child_options,
        )
        validation = acm.CertificateValidation(
            f"{name}-validation",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            region=region,
            opts=child_options,
        )

        self.certificate_arn = validation.certificate_arn
        self.register_outputs({"certificate_arn": self.certificate_arn})


def create_alias_records(
    name: str,
    domain: CustomDomain,
    target_host: pulumi.Input[str],
    target_zone_id: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Creates the A and AAAA alias records of a host for an AWS endpoint."""
    for type_ in ("A", "AAAA"):
        route53.Record(
            f"{name}-{type_.lower()}",
            zone_id=domain.zone_id,
            name=domain.host,
            type=type_,
            aliases=[route53.RecordAliasArgs(name=target_host, zone_id=target_zone_id, evaluate_target_health=False)],
            opts=opts,
        )
