//! Where a service account's keys work from.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::kernel::{Problem, Result};

/// Entries of one list at most.
const MAX_ENTRIES: usize = 50;
/// Prefix length of IPv4 within IPv6. Source: RFC 4291 §2.5.5.2.
const MAPPED_PREFIX: u8 = 96;

/// Addresses and networks that a key may be shown from; an empty list lets it be shown from anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpAllow(Vec<IpNet>);

impl IpAllow {
    /// Reads what a caller sent: addresses and CIDR ranges. One written twice is kept once.
    ///
    /// # Errors
    /// `invalid_field` naming `ip_allow` or its entry.
    pub fn parse(entries: &[String]) -> Result<Self> {
        if entries.len() > MAX_ENTRIES {
            let message = format!("must have at most {MAX_ENTRIES} entries");
            return Err(Problem::field("ip_allow", "too_many", message).into());
        }
        let mut nets = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let net = network(entry).ok_or_else(|| {
                let message = "must be an address or a range such as 192.0.2.0/24 or 2001:db8::/32";
                Problem::field(format!("ip_allow[{index}]"), "format", message)
            })?;
            if !nets.contains(&net) {
                nets.push(net);
            }
        }
        Ok(Self(nets))
    }

    /// Reads the stored form; `None` when it is broken.
    pub fn from_stored(text: &str) -> Option<Self> {
        let entries: Vec<String> = serde_json::from_str(text).ok()?;
        let nets = entries.iter().map(|entry| network(entry));
        nets.collect::<Option<_>>().map(Self)
    }

    /// The stored form: a JSON list.
    pub fn to_stored(&self) -> String {
        serde_json::Value::from(self.to_list()).to_string()
    }

    /// The entries in their canonical form; a single address without its prefix length.
    pub fn to_list(&self) -> Vec<String> {
        let text = |net: &IpNet| {
            if net.prefix_len() == net.max_prefix_len() {
                net.addr().to_string()
            } else {
                net.to_string()
            }
        };
        self.0.iter().map(text).collect()
    }

    /// Whether a key may be shown from there. Of an address that is not known nothing can be said, so it is refused.
    pub fn admits(&self, from: Option<IpAddr>) -> bool {
        self.0.is_empty() || from.is_some_and(|ip| self.0.iter().any(|net| net.contains(&ip.to_canonical())))
    }
}

/// A network with its host bits cleared. IPv4 written as IPv6 becomes IPv4, as clients' addresses do.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let net = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip.to_canonical()),
        Err(_) => text.parse::<IpNet>().ok()?,
    };
    let net = match net {
        IpNet::V4(_) => net,
        IpNet::V6(six) => match (six.addr().to_ipv4_mapped(), six.prefix_len().checked_sub(MAPPED_PREFIX)) {
            (Some(four), Some(prefix)) => Ipv4Net::new(four, prefix).ok()?.into(),
            _ => net,
        },
    };
    Some(net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> IpAllow {
        let entries: Vec<_> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        IpAllow::parse(&entries).unwrap()
    }

    fn admits(allow: &IpAllow, ip: &str) -> bool {
        allow.admits(Some(ip.parse().unwrap()))
    }

    #[test]
    fn an_empty_list_admits_everybody_and_another_nobody_unknown() {
        assert!(list(&[]).admits(None));
        assert!(!list(&["0.0.0.0/0", "::/0"]).admits(None));
    }

    #[test]
    fn addresses_and_ranges_admit_what_lies_in_them() {
        let allow = list(&["192.0.2.7", "198.51.100.77/24", "2001:db8::/32"]);
        for inside in ["192.0.2.7", "::ffff:192.0.2.7", "198.51.100.1", "2001:db8:1::1"] {
            assert!(admits(&allow, inside), "{inside}");
        }
        for outside in ["192.0.2.8", "198.51.101.1", "2001:db9::1", "::ffff:192.0.2.8"] {
            assert!(!admits(&allow, outside), "{outside}");
        }
        assert!(!admits(&list(&["0.0.0.0/0"]), "2001:db8::1"));
        assert!(admits(&list(&["::ffff:10.0.0.0/104"]), "10.1.2.3"));
    }

    #[test]
    fn entries_are_shown_in_one_form_and_kept_once() {
        let allow = list(&["192.0.2.7/32", " 192.0.2.7", "10.1.2.3/8", "2001:DB8::0/32"]);
        assert_eq!(allow.to_list(), ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"]);
        assert_eq!(IpAllow::from_stored(&allow.to_stored()), Some(allow));
        assert_eq!(IpAllow::from_stored("[\"x\"]"), None);
    }

    #[test]
    fn the_entry_that_is_none_is_named() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "host.example",
            "10.0.0.1-10.0.0.9",
            "::/129",
        ] {
            let refused = IpAllow::parse(&["10.0.0.1".to_owned(), bad.to_owned()]).unwrap_err();
            assert_eq!(refused.into_problem().errors[0].field, "ip_allow[1]", "{bad}");
        }
        let many = vec!["10.0.0.1".to_owned(); MAX_ENTRIES + 1];
        assert_eq!(
            IpAllow::parse(&many).unwrap_err().into_problem().errors[0].field,
            "ip_allow"
        );
    }
}
