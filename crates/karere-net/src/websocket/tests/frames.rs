use bytes::BufMut;

use super::*;

/// A frame as a client sends it; `first` has FIN, the reserved bits and the kind.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.put_u16(length as u16);
        }
        length => {
            frame.push(0x80 | 127);
            frame.put_u64(length as u64);
        }
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What a server sends back, which is without a mask and short: kind and payload of each frame.
fn sent(filter: &mut Filter) -> Vec<(u8, Vec<u8>)> {
    let bytes = transmit(filter);
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while let [kind, length, after @ ..] = rest {
        let (payload, after) = after.split_at(usize::from(*length));
        frames.push((*kind, payload.to_vec()));
        rest = after;
    }
    frames
}

#[test]
fn bytes_of_every_length_arrive_in_both_directions() {
    let (mut client, mut server) = open();
    for length in [1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 200_000] {
        let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
        client.encode(&payload);
        assert_eq!(feed(&mut server, &transmit(&mut client), &[usize::MAX]).unwrap(), payload);
        server.encode(&payload);
        assert_eq!(feed(&mut client, &transmit(&mut server), &[usize::MAX]).unwrap(), payload);
    }
}

#[test]
fn frames_may_be_split_and_joined_anywhere() {
    // A message in three frames with a ping between them, an empty one, and one with a longer header.
    let long = [b'x'; 300];
    let wire = [
        masked(0x02, b"one "),
        masked(0x89, b"are you there?"),
        masked(0x00, b"two "),
        masked(0x80, b"three "),
        masked(0x82, b""),
        masked(0x8a, b"nobody asked"),
        masked(0x82, &long),
    ]
    .concat();
    let expected = [&b"one two three "[..], &long].concat();
    for first in 1..wire.len() {
        let (_, mut server) = open();
        assert_eq!(feed(&mut server, &wire, &[first, wire.len()]).unwrap(), expected, "split at {first}");
        assert_eq!(sent(&mut server), [(0x8a, b"are you there?".to_vec())]);
    }
    for size in 1..64 {
        let (_, mut server) = open();
        assert_eq!(feed(&mut server, &wire, &[size]).unwrap(), expected, "in pieces of {size}");
    }
}

#[test]
fn parts_given_together_are_one_frame() {
    let (_, mut server) = open();
    server.encode_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")]);
    assert_eq!(sent(&mut server), [(0x82, b"abcd".to_vec())]);
    server.encode(b"");
    assert!(transmit(&mut server).is_empty());
}

#[test]
fn a_client_masks_and_each_time_otherwise() {
    let (mut client, _) = open();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        client.encode(b"\0\0\0\0");
        let frame = transmit(&mut client);
        assert_eq!(&frame[..2], [0x82, 0x84]);
        assert_eq!(frame[2..6], frame[6..10], "zeros show the mask");
        seen.insert(frame);
    }
    assert!(seen.len() > 95, "{}", seen.len());
}

#[test]
fn a_frame_that_breaks_a_rule_ends_the_connection_and_is_told_why() {
    let mut long_form = vec![0x82, 0x80 | 126, 0, 5, 0, 0, 0, 0];
    long_form.extend_from_slice(b"hello");
    let huge = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("text", masked(0x81, b"hello"), 1003),
        ("the beginning of text", masked(0x01, b"hello"), 1003),
        ("no mask", vec![0x82, 1, 0], 1002),
        ("a reserved bit", masked(0xc2, b"x"), 1002),
        ("a reserved kind", masked(0x83, b"x"), 1002),
        ("a reserved control", masked(0x8b, b"x"), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("two beginnings", [masked(0x02, b""), masked(0x82, b"")].concat(), 1002),
        ("a ping in pieces", masked(0x09, b"x"), 1002),
        ("a long ping", masked(0x89, &[0; 126]), 1002),
        ("a length in more bytes than needed", long_form, 1002),
        ("more than an MQTT packet can be", huge(FRAME_BYTES_MAX + 1), 1009),
        ("a length of 63 bits", huge(u64::MAX >> 1), 1009),
        ("a length of 64 bits", huge(u64::MAX), 1009),
        ("half a close code", masked(0x88, &[3]), 1002),
        ("a close code that is never sent", masked(0x88, &1006_u16.to_be_bytes()), 1002),
        ("a reason that is no UTF-8", masked(0x88, &[3, 0xe8, 0xff]), 1007),
    ];
    for (what, bytes, code) in cases {
        for sizes in [[1], [usize::MAX]] {
            let (_, mut server) = open();
            let result = feed(&mut server, &[&masked(0x82, b"before")[..], bytes].concat(), &sizes);
            assert!(matches!(result, Err(Error::Frame(_))), "{what}: {result:?}");
            assert!(server.is_closed());
            assert_eq!(sent(&mut server), [(0x88, code.to_be_bytes().to_vec())], "{what}");
        }
    }
}

#[test]
fn what_came_before_a_fault_is_not_lost() {
    let (_, mut server) = open();
    let mut input = BytesMut::from(&[masked(0x82, b"before"), masked(0x81, b"text")].concat()[..]);
    let mut plain = BytesMut::new();
    server.handle_input(&mut input, &mut plain).unwrap_err();
    assert_eq!(plain, "before");
}

#[test]
fn a_masked_frame_is_not_taken_from_a_server() {
    let (mut client, _) = open();
    let result = feed(&mut client, &masked(0x82, b"x"), &[usize::MAX]);
    assert_eq!(result, Err(Error::Frame("a masked frame from the server")));
}

#[test]
fn a_declared_length_takes_no_memory() {
    let (_, mut server) = open();
    let header = [&[0x82, 0xff][..], &FRAME_BYTES_MAX.to_be_bytes(), &[0; 4], b"few bytes"].concat();
    let (mut input, mut plain) = (BytesMut::from(&header[..]), BytesMut::new());
    server.handle_input(&mut input, &mut plain).unwrap();
    assert_eq!(plain, "few bytes");
    assert!(input.is_empty() && input.capacity() + plain.capacity() < 1024);
}

#[test]
fn who_pings_without_reading_the_answers_gets_one() {
    let (_, mut server) = open();
    for round in 0..10_000_u32 {
        feed(&mut server, &masked(0x89, &round.to_be_bytes()), &[usize::MAX]).unwrap();
    }
    assert!(server.wants_write());
    assert_eq!(sent(&mut server), [(0x8a, 9_999_u32.to_be_bytes().to_vec())]);
    assert!(!server.wants_write());
}

#[test]
fn a_pong_waits_behind_what_waits_already() {
    let (_, mut server) = open();
    server.encode(b"data");
    feed(&mut server, &masked(0x89, b"?"), &[usize::MAX]).unwrap();
    assert_eq!(sent(&mut server), [(0x82, b"data".to_vec())]);
    assert!(server.wants_write());
    assert_eq!(sent(&mut server), [(0x8a, b"?".to_vec())]);
}

#[test]
fn both_ends_close_in_order_and_nothing_follows() {
    let (mut client, mut server) = open();
    client.encode(b"DISCONNECT");
    client.close();
    assert!(!client.is_open() && !client.is_closed());
    let last = transmit(&mut client);
    client.encode(b"too late");
    assert!(!client.wants_write());
    assert_eq!(feed(&mut server, &last, &[1]).unwrap(), "DISCONNECT");
    assert!(server.is_closed());
    server.encode(b"too late");
    assert_eq!(feed(&mut client, &transmit(&mut server), &[1]).unwrap(), "");
    assert!(client.is_closed());
    assert!(!client.wants_write() && !server.wants_write());
    assert_eq!(feed(&mut server, &masked(0x82, b"after the end"), &[1]).unwrap(), "");
}

#[test]
fn a_close_is_answered_with_its_code_or_with_none() {
    for payload in [&b""[..], &1001_u16.to_be_bytes(), b"\x03\xe8bye"] {
        let (_, mut server) = open();
        feed(&mut server, &masked(0x88, payload), &[1]).unwrap();
        assert_eq!(sent(&mut server), [(0x88, payload.get(..2).unwrap_or_default().to_vec())]);
    }
}

#[test]
fn a_frame_of_tungstenites_is_understood_and_ours_by_it() {
    use tungstenite::protocol::{Message, Role, WebSocket};
    let (mut client, mut server) = open();
    let mut theirs = WebSocket::from_raw_socket(Pipe::default(), Role::Client, None);
    theirs.send(Message::Binary(vec![7; 70_000].into())).unwrap();
    theirs.send(Message::Ping(b"p".to_vec().into())).unwrap();
    assert_eq!(feed(&mut server, &theirs.get_mut().1, &[999]).unwrap(), vec![7; 70_000]);
    server.encode(&[9; 300]);
    theirs.get_mut().0 = transmit(&mut server).to_vec().into();
    assert_eq!(theirs.read().unwrap(), Message::Binary(vec![9; 300].into()));

    let mut theirs = WebSocket::from_raw_socket(Pipe::default(), Role::Server, None);
    client.encode(&[5; 126]);
    client.close();
    theirs.get_mut().0 = transmit(&mut client).to_vec().into();
    assert_eq!(theirs.read().unwrap(), Message::Binary(vec![5; 126].into()));
    assert!(matches!(theirs.read().unwrap(), Message::Close(Some(_))));
}

/// What is read, and what was written.
#[derive(Debug, Default)]
struct Pipe(std::collections::VecDeque<u8>, Vec<u8>);

impl io::Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
