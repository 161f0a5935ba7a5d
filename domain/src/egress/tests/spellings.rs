//! Every way to write an inside address that we could think of, against a listener that must not be reached.

use super::sink::{Answer, Sink};
use super::*;

/// Hosts that are this machine, or another inside address, or lead there through the test's names.
const SPELLINGS: &str = "
    127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 127.0.0.2 127.127 0.0.0.0 0 0. 00 0x0 2130706433
    2130706434 017700000001 0x7f000001 0X7F000001 0x7f.1 0x7f.0.0.1 0x7f.0x0.0x0.0x1 0177.1 0177.0.0.1
    0177.0.0.01 00000177.0.0.1 127.0.0.0x1 127.0.0x0.1 127.00.0.1 127.000.000.001 0x7f.0.01 127.0x1
    %31%32%37.0.0.1 127%2e0%2e0%2e1 0x%37f.1 １２７.0.0.1 127。0。0。1 127．0．0．1 ①②⑦.⓪.⓪.① 𝟏𝟐𝟕.𝟎.𝟎.𝟏 1２7.1 [::1] [::]
    [0:0:0:0:0:0:0:1] [0000:0000:0000:0000:0000:0000:0000:0001] [0::1] [::0:1] [::127.0.0.1] [::7f00:1]
    [::ffff:127.0.0.1] [::ffff:7f00:1] [::FFFF:7F00:0001] [0:0:0:0:0:ffff:127.0.0.1] [::ffff:0.0.0.0]
    [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::127.0.0.1] [2002:7f00:1::]
    [2002:7f00:0001::1] [2001:0:7f00:1::] [2001:0:0:0:0:0:80ff:fffe] [fe80::1] [fe80::1%25lo] [fe80::1%lo]
    [fec0::1] [fc00::1] [fd00::1] [ff02::1] [100::1] [5f00::1] [2001:db8::1] [3fff::1] localhost LOCALHOST
    localhost. LocalHost. a.localhost a.b.localhost. ⓛⓞⓒⓐⓛⓗⓞⓢⓣ ｌｏｃａｌｈｏｓｔ local%68ost ip6-localhost vm
    printer.local metadata.google.internal internal dana@127.0.0.1 dana:pw@127.0.0.1 example.com@127.0.0.1
    example.com%40@127.0.0.1 @127.0.0.1 example.com:443@127.0.0.1 127.0.0.1.nip.io rebind.example.com
    bücher.example xn--bcher-kva.example ＥＸＡＭＰＬＥ.com example.com. a_b.example.com 169.254.169.254 0xa9fea9fe
    2852039166 [::ffff:169.254.169.254] [fd00:ec2::254] 100.100.100.200 10.0.0.1 192.168.0.1 172.16.0.1
    100.64.0.1 198.18.0.1 224.0.0.1 255.255.255.255 240.0.0.1
";

/// Hosts with characters that the URL parser drops or rewrites.
const WITH_BLANKS: &[&str] = &[
    "loc\u{ad}alhost",
    "local\thost",
    "127.0.0\t.1",
    "127.0.0.1\n",
    "localhost\u{3002}",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_an_inside_address_is_ever_connected_to() {
    let sink = Sink::start(Answer::Text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let names = || Scripted::new(&["127.0.0.1 ::1 ::ffff:127.0.0.1 0.0.0.0"]);
    // With nothing open, and with another network open, which lets plain http and local names past the first check.
    for egress in [egress(&[], names()), egress(&["203.0.113.0/24"], names())] {
        for host in SPELLINGS.split_whitespace().chain(WITH_BLANKS.iter().copied()) {
            let port = sink.port;
            for url in [
                format!("https://{host}:{port}/hook"),
                format!("http://{host}:{port}/hook"),
                format!("https:\\\\{host}:{port}/hook"),
                format!("https:{host}:{port}/hook"),
                format!("hTTp:////{host}:{port}/hook"),
            ] {
                let exchange = egress.post(request(url.as_str())).await;
                assert_eq!(exchange.outcome, Outcome::Blocked, "{url}: {:?}", exchange.error);
                assert_eq!((exchange.status, exchange.remote_ip), (None, None), "{url}");
            }
        }
    }
    assert_eq!(sink.hits(), 0);
    // The sink does count: the same request, with loopback open.
    assert_eq!(open().post(request(sink.url())).await.outcome, Outcome::Ok);
    assert_eq!(sink.hits(), 1);
}
