//! Who is calling: the peer of the socket, unless it is one of our own proxies. poem's `RealIp` believes forwarding
//! headers from anyone, so that whoever sends them chooses its own rate limit.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use poem::http::HeaderMap;

/// The only forwarding header that is read. `Forwarded` and `X-Real-IP` are ignored: a proxy that sets one of the
/// three passes the others through from the client.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client: the rightmost hop that is not a trusted proxy. Whatever stands left of it was written
/// by the client itself.
pub fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut client = peer.to_canonical();
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        let Ok(line) = line.to_str() else { return client };
        for hop in line.rsplit(',') {
            if !is_trusted(&client) {
                return client;
            }
            // A hop that is no address: what lies left of it cannot be relied on.
            let Some(hop) = parse_hop(hop.trim()) else {
                return client;
            };
            client = hop;
        }
    }
    client
}

/// What one client can choose its addresses from: one IPv6 customer has a whole /64 to send from.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX)).into(),
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|hop| hop.strip_suffix(']'))
        .unwrap_or(hop);
    let ip = bare
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:ffff::/48".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        headers.insert("forwarded", "for=6.6.6.6".parse().unwrap());
        headers.insert("x-real-ip", "6.6.6.6".parse().unwrap());
        client_ip(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_its_socket_peer_whatever_it_claims() {
        assert_eq!(client("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
        assert_eq!(client("192.0.2.7", &["10.0.0.1"]), "192.0.2.7");
        assert_eq!(client("::ffff:192.0.2.7", &[]), "192.0.2.7");
    }

    #[test]
    fn behind_a_proxy_the_rightmost_stranger_counts_and_spoofed_hops_do_not() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("10.0.0.1", &["127.0.0.1, 203.0.113.5, 198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(
            client("10.0.0.1", &["203.0.113.5", "198.51.100.1, 10.0.0.2"]),
            "198.51.100.1"
        );
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn ports_and_brackets_are_read() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client("2001:db8:ffff::1", &["[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn a_malformed_hop_stops_at_the_last_good_one() {
        assert_eq!(client("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, "]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1", "\u{e9}"]), "10.0.0.1");
    }
}
