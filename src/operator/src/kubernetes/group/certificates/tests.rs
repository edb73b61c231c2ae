//! Certificates over years, and what is said of those that are not fit.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use time::OffsetDateTime;

use super::super::super::certificates::SPREAD_SECONDS;
use super::*;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3_600;

fn scope() -> Scope {
    Scope { namespace: "shop".into(), name: "sample".into(), uid: "1234".into() }
}

fn names_of(partitions: &[u32]) -> Names {
    Names::of(&scope(), partitions.iter().copied().map(PartitionId))
}

fn made() -> Source {
    Source::Made(Authority::make("sample", NOW).unwrap())
}

/// What a user's authority can be told to sign.
struct Order {
    dns: Vec<&'static str>,
    uris: Vec<&'static str>,
    usages: Vec<ExtendedKeyUsagePurpose>,
    days: (i64, i64),
}

impl Default for Order {
    fn default() -> Self {
        Self {
            dns: vec!["*.sample-p0-peers.shop.svc", "*.sample-p1-peers.shop.svc"],
            uris: vec!["synod://shop/sample"],
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            days: (-1, 90),
        }
    }
}

/// The authority of a user.
struct Theirs(Issuer<'static, KeyPair>, String);

impl Theirs {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    fn issue(&self, order: Order) -> Pair {
        let at = |days: i64| OffsetDateTime::from_unix_timestamp(NOW + days * DAY).unwrap();
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = order.dns.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let uris = order.uris.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.extended_key_usages = order.usages;
        (params.not_before, params.not_after) = (at(order.days.0), at(order.days.1));
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Pair { certificate, key: key.serialize_pem(), ca: self.1.clone() }
    }
}

#[test]
fn what_the_operator_makes_is_fit_for_its_partition_and_no_other_and_ends() {
    let pair = made().due(None, 0, &names_of(&[0]), NOW).unwrap().unwrap();
    let validity = pair.check(&names_of(&[0]), NOW).unwrap();
    assert_eq!((validity.ends - NOW) / DAY, 90);
    assert!(!validity.is_due(NOW + 59 * DAY) && validity.is_due(NOW + 61 * DAY));
    assert!(pair.check(&names_of(&[1]), NOW).unwrap_err().contains("*.sample-p1-peers.shop.svc"));
    assert!(pair.check(&names_of(&[0]), NOW + 91 * DAY).unwrap_err().contains("has expired"));
    let other = Scope { namespace: "other".into(), ..scope() };
    assert!(pair.check(&Names::of(&other, [PartitionId(0)]), NOW).is_err());
}

#[test]
fn what_is_not_fit_is_refused_with_what_to_do() {
    let theirs = Theirs::new();
    let good = theirs.issue(Order::default());
    good.check(&names_of(&[0, 1]), NOW).unwrap();
    let by_partition = vec!["synod://shop/sample/0", "synod://shop/sample/1"];
    theirs.issue(Order { uris: by_partition, ..Order::default() }).check(&names_of(&[0, 1]), NOW).unwrap();
    let one_host = vec!["*.sample-p0-peers.shop.svc"];
    for (pair, said) in [
        (
            theirs.issue(Order { days: (-9, -1), ..Order::default() }),
            "has expired at 2027-01-14T08:00:00Z: renew it",
        ),
        (
            theirs.issue(Order { days: (1, 9), ..Order::default() }),
            "not valid before 2027-01-16T08:00:00Z: wait",
        ),
        (
            Pair { key: theirs.issue(Order::default()).key, ..good.clone() },
            "does not go with the certificate",
        ),
        (Pair { key: String::new(), ..good.clone() }, "no private key under \"tls.key\""),
        (Pair { ca: Theirs::new().1, ..good.clone() }, "no authority under \"ca.crt\" has signed"),
        (Pair { ca: String::new(), ..good.clone() }, "no certificate under \"ca.crt\""),
        (Pair { certificate: "rubbish".into(), ..good.clone() }, "no certificate under \"tls.crt\""),
        (
            theirs.issue(Order { usages: vec![ExtendedKeyUsagePurpose::ServerAuth], ..Order::default() }),
            "both usages, server auth and client auth",
        ),
        (
            theirs.issue(Order { dns: one_host, ..Order::default() }),
            "does not have the DNS name *.sample-p1-peers.shop.svc: add",
        ),
        (
            theirs.issue(Order { uris: vec!["synod://shop/other"], ..Order::default() }),
            "does not have the URI synod://shop/sample or synod://shop/sample/0, nor 1 more: add",
        ),
    ] {
        let refused = pair.check(&names_of(&[0, 1]), NOW).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}

/// What replicas have read by some time: nobody is further behind than the newest of before the spread.
fn believed(history: &[(i64, Pair)], now: i64) -> &[(i64, Pair)] {
    let oldest = history.iter().rposition(|(at, _)| *at <= now - SPREAD_SECONDS).unwrap_or(0);
    &history[oldest..]
}

fn everybody_believes_everybody(history: &[(i64, Pair)], names: &Names, now: i64) {
    for (_, one) in believed(history, now) {
        for (_, other) in believed(history, now) {
            let seen = Pair { ca: other.ca.clone(), ..one.clone() };
            seen.check(names, now)
                .unwrap_or_else(|problem| panic!("after {} days: {problem}", (now - NOW) / DAY));
        }
    }
}

#[test]
fn over_years_everybody_believes_everybody_whenever_they_read_what_was_written() {
    let names = names_of(&[0]);
    let mut authority = Authority::make("sample", NOW).unwrap();
    let mut history: Vec<(i64, Pair)> = Vec::new();
    let (mut authorities, mut certificates) = (1, std::collections::BTreeSet::new());
    let mut now = NOW;
    while now < NOW + 800 * DAY {
        if authority.is_due(now) {
            authority = Authority::make("sample", now).unwrap();
            authorities += 1;
        }
        let source = Source::Made(authority.clone());
        // Looks are rare while nothing happens, and often after something has.
        let (since, held) = history.last().map_or((0, None), |(since, pair)| (*since, Some(pair)));
        if let Some(pair) = source.due(held, since, &names, now).unwrap() {
            certificates.insert(pair.certificate.clone());
            history.push((now, pair));
        }
        everybody_believes_everybody(&history, &names, now);
        let is_fresh = history.last().is_some_and(|(at, _)| now - at < 3 * SPREAD_SECONDS);
        now += if is_fresh { SPREAD_SECONDS / 3 } else { DAY / 2 };
    }
    assert!(authorities >= 3, "{authorities} authorities");
    assert!((12..=18).contains(&certificates.len()), "{} certificates", certificates.len());
    let last = &history.last().unwrap().1;
    assert_eq!(
        Bundle::of(&last.ca),
        Bundle::of(&authority.certificate),
        "those of before are trusted no more"
    );
}

#[test]
fn another_authority_of_the_user_takes_over_step_by_step_and_one_that_is_too_late_at_once() {
    let names = names_of(&[0]);
    let (old, new) = (Theirs::new().issue(Order::default()), Theirs::new().issue(Order::default()));
    let source = Source::Given(new.clone());
    let due = |held: &Pair, since, now| source.due(Some(held), since, &names, now).unwrap();
    let first = due(&old, NOW - DAY, NOW).unwrap();
    assert!(first.certificate == old.certificate && first.key == old.key, "first it is trusted");
    assert!(Bundle::of(&first.ca) == Bundle::of(&format!("{}{}", old.ca, new.ca)));
    assert!(due(&first, NOW, NOW + SPREAD_SECONDS - 1).is_none());
    let second = due(&first, NOW, NOW + SPREAD_SECONDS).unwrap();
    assert!(second.certificate == new.certificate && second.key == new.key && second.ca == first.ca);
    let third = due(&second, NOW, NOW + SPREAD_SECONDS).unwrap();
    assert!(third == new);
    assert!(due(&third, NOW, NOW + DAY).is_none());

    let expired = Theirs::new().issue(Order { days: (-9, -1), ..Order::default() });
    assert!(due(&expired, NOW, NOW).unwrap() == new, "nobody believes the old one anyway");
}
