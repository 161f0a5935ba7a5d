use poem::Request;

use super::*;

fn stopped() -> Clock {
    Clock::manual(Timestamp(1_900_000_000_000_000))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let builder = pairs.iter().fold(Request::builder(), |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.finish().headers().clone()
}

/// Limit and remaining, or the seconds to wait.
fn knock(limit: &RateLimit, class: Class, headers: &HeaderMap, ip: &str) -> Result<(u32, u32), u64> {
    let admitted = limit.admit(class, headers, ip.parse().unwrap());
    let standing = |counted: Option<Counted>| counted.unwrap().standing;
    admitted
        .map(|counted| (standing(counted).limit, standing(counted).remaining))
        .map_err(|response| response.header("retry-after").unwrap().parse().unwrap())
}

#[test]
fn an_address_has_its_share_of_every_minute_in_each_class() {
    let clock = stopped();
    let limit = RateLimit::new(0.01, &clock);
    let login = |ip| knock(&limit, Class::SignIn, &headers(&[]), ip);
    for remaining in [2, 1, 0] {
        assert_eq!(login("192.0.2.1"), Ok((3, remaining)));
    }
    assert_eq!(login("192.0.2.1"), Err(20));
    assert!(login("192.0.2.2").is_ok(), "others are not held up");
    assert_eq!(knock(&limit, Class::Read, &headers(&[]), "192.0.2.1"), Ok((10, 9)));
    clock.advance(Duration::from_secs(20));
    assert!(login("192.0.2.1").is_ok());
    assert!(login("192.0.2.1").is_err());
}

#[test]
fn a_network_of_ipv6_is_one_address() {
    let limit = RateLimit::new(0.001, &stopped());
    let login = |ip| knock(&limit, Class::SignIn, &headers(&[]), ip);
    assert!(login("2001:db8::1").is_ok());
    assert!(login("2001:db8::2").is_err());
    assert!(login("2001:db8:0:1::1").is_ok());
}

#[test]
fn a_new_token_for_every_request_gains_nothing() {
    let limit = RateLimit::new(0.003, &stopped());
    let admitted = (0..20).filter(|n| {
        let token = format!("Bearer srm_pat_{n}");
        let shown = headers(&[("authorization", token.as_str())]);
        knock(&limit, Class::Read, &shown, "192.0.2.1").is_ok()
    });
    assert_eq!(admitted.count(), 3);
}

#[test]
fn health_is_counted_and_never_refused() {
    let limit = RateLimit::new(0.0005, &stopped());
    let probe = || knock(&limit, Class::Probe, &headers(&[]), "192.0.2.1");
    assert_eq!(
        [probe(), probe(), probe(), probe()],
        [Ok((3, 2)), Ok((3, 1)), Ok((3, 0)), Ok((3, 0))]
    );
}

#[test]
fn nothing_is_counted_when_it_is_off() {
    let limit = RateLimit::new(0.0, &stopped());
    for _ in 0..1000 {
        let admitted = limit.admit(Class::SignIn, &headers(&[]), [192, 0, 2, 1].into());
        assert!(matches!(admitted, Ok(None)));
    }
}

#[test]
fn a_credential_is_the_same_however_it_is_spelled() {
    let same = [
        headers(&[("authorization", "Bearer srm_ses_x")]),
        headers(&[("authorization", "bEaReR   srm_ses_x ")]),
        headers(&[("x-api-key", " srm_ses_x")]),
        headers(&[("cookie", "a=b; strongroom=srm_ses_x; c=d")]),
        headers(&[("cookie", "a=b"), ("cookie", "__Host-strongroom=srm_ses_x")]),
        headers(&[
            ("authorization", "Bearer srm_ses_x"),
            ("cookie", "strongroom=srm_ses_y"),
        ]),
    ];
    let first = Fingerprint::of(&same[0]);
    assert!(first.is_some());
    for (n, headers) in same.iter().enumerate() {
        assert_eq!(Fingerprint::of(headers), first, "{n}");
    }
    for none in [
        headers(&[]),
        headers(&[("authorization", "Basic srm_ses_x")]),
        headers(&[("cookie", "other=srm_ses_x")]),
    ] {
        assert_eq!(Fingerprint::of(&none), None);
    }
}
