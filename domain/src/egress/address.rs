//! Which addresses may be dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// IPv4 blocks that are not the public internet: network and prefix length. Source: IANA special-purpose registry,
/// RFC 6890 and later.
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),           // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, and the metadata services of clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // class E and broadcast
];

/// The only IPv6 block with public addresses. Everything else is refused by not being in it: loopback, unique local,
/// link-local, site-local, multicast, NAT64, discard-only, segment routing and IPv4-compatible.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Blocks of [`GLOBAL_V6`] that are not the public internet, or that embed an IPv4 address.
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo among them
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether `ip` is an address of the public internet. An IPv4 address mapped into IPv6 is judged as the IPv4 address.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|&block| holds_v4(block, ip)),
        IpAddr::V6(ip) => holds_v6(GLOBAL_V6, ip) && !SPECIAL_V6.iter().any(|&block| holds_v6(block, ip)),
    }
}

fn holds_v4((network, prefix): (Ipv4Addr, u32), ip: Ipv4Addr) -> bool {
    (network.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix
}

fn holds_v6((network, prefix): (Ipv6Addr, u32), ip: Ipv6Addr) -> bool {
    (network.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix
}

/// What may be dialled besides the public internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Networks that the operator opened. They are also the only ones that may be reached without TLS.
    pub allow: Vec<IpNet>,
}

impl EgressPolicy {
    /// For what the operator named, and no user: every address, with and without TLS.
    pub fn everywhere() -> Self {
        Self {
            allow: vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())],
        }
    }

    /// Whether `ip` may be dialled with TLS.
    pub fn permits(&self, ip: IpAddr) -> bool {
        is_public(ip) || self.is_allow_listed(ip)
    }

    /// Whether the operator listed `ip`, so that it may be dialled without TLS too.
    pub fn is_allow_listed(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.allow.iter().any(|net| net.contains(&ip))
    }

    /// Whether any listed network lies outside the public internet.
    pub(super) fn opens_inside(&self) -> bool {
        self.allow.iter().any(|net| !is_public(net.network()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every special block of the IANA registries, written apart from the tables above.
    const FORBIDDEN: &[&str] = &[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "::1/128",
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "100:0:0:1::/64",
        "2001::/23",
        "2001::/32",
        "2001:2::/48",
        "2001:10::/28",
        "2001:20::/28",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];

    /// The neighbours of the special blocks, where a prefix one bit off would show.
    const PUBLIC: &[&str] = &[
        "1.0.0.0",
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:db7:ffff::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700::1111",
        "2a00::1",
        "3ffe::1",
        "3fff:1000::1",
        "::ffff:8.8.8.8",
    ];

    fn nets() -> Vec<IpNet> {
        FORBIDDEN.iter().map(|net| net.parse().unwrap()).collect()
    }

    /// An address of `net` with the bits of `seed` behind the prefix.
    fn inside(net: IpNet, seed: u128) -> IpAddr {
        match net {
            IpNet::V4(net) => {
                let host = u32::try_from(seed & u128::from(u32::MAX)).unwrap() & net.hostmask().to_bits();
                IpAddr::V4(Ipv4Addr::from_bits(net.network().to_bits() | host))
            }
            IpNet::V6(net) => IpAddr::V6(Ipv6Addr::from_bits(
                net.network().to_bits() | (seed & net.hostmask().to_bits()),
            )),
        }
    }

    #[test]
    fn special_blocks_are_refused_to_their_edges() {
        for net in nets() {
            for ip in [net.network(), net.broadcast()] {
                assert!(!is_public(ip), "{ip} of {net}");
            }
        }
    }

    #[test]
    fn neighbours_of_special_blocks_are_public() {
        for ip in PUBLIC {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn the_list_opens_what_it_names_and_no_more() {
        let policy = EgressPolicy {
            allow: vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/64".parse().unwrap()],
        };
        for ip in ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"] {
            assert!(
                policy.permits(ip.parse().unwrap()) && policy.is_allow_listed(ip.parse().unwrap()),
                "{ip}"
            );
        }
        for ip in [
            "10.2.0.1",
            "127.0.0.1",
            "::ffff:169.254.169.254",
            "fd00:2::5",
            "::10.1.2.3",
            "2002:a01:203::",
        ] {
            assert!(!policy.permits(ip.parse().unwrap()), "{ip}");
        }
        let public = "8.8.8.8".parse().unwrap();
        assert!(policy.permits(public) && !policy.is_allow_listed(public));
        assert!(policy.opens_inside() && !EgressPolicy::default().opens_inside());
    }

    proptest! {
        #[test]
        fn every_address_of_a_special_block_is_refused(seed: u128, mapped: bool) {
            for net in nets() {
                let ip = match inside(net, seed) {
                    IpAddr::V4(ip) if mapped => IpAddr::V6(ip.to_ipv6_mapped()),
                    ip => ip,
                };
                prop_assert!(!is_public(ip), "{ip} of {net}");
                prop_assert!(!EgressPolicy::default().permits(ip));
            }
        }

        #[test]
        fn other_addresses_pass(v4: u32, v6: u128) {
            let global = (v6 & (u128::MAX >> 3)) | (1 << 125);
            for ip in [IpAddr::V4(Ipv4Addr::from_bits(v4)), IpAddr::V6(Ipv6Addr::from_bits(global))] {
                let special = nets().iter().any(|net| net.contains(&ip));
                prop_assert_eq!(is_public(ip), !special, "{}", ip);
            }
        }

        #[test]
        fn ipv6_outside_the_global_block_is_refused(v6: u128) {
            let ip = Ipv6Addr::from_bits(v6);
            prop_assume!(v6 >> 125 != 1 && ip.to_ipv4_mapped().is_none());
            prop_assert!(!is_public(IpAddr::V6(ip)));
        }
    }
}
