# Varnish in front of an edge: whole and tested as it is (tests/integration/caches.test.mjs puts another address in). Start it with
#
#   varnishd -f varnish.vcl -a :8080 -s malloc,1g -p http_gzip_support=off
#
# (with its own gzip support Varnish would ask for gzip alone, and change etags). Closed chunks are kept and revalidated, and
# concurrent requests for one URL become one: of a thousand clients that wait for the same change one reaches the edge, and all are
# told when it is.
vcl 4.1;

import std;

backend edge {
  .host = "127.0.0.1";
  .port = "3000";
  # A long poll takes 20 s, an event stream speaks every 21 s.
  .first_byte_timeout = 75s;
  .between_bytes_timeout = 75s;
}

sub vcl_recv {
  # Answers name the origin that asked and are kept for others: without one they name all.
  unset req.http.Origin;
  unset req.http.Cookie;

  # The best coding that the client accepts; q=0 means that it does not.
  if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])zstd(?!\s*;\s*q=0(\.0*)?\s*(,|$))(\s*[;,]|\s*$)") {
    set req.http.Accept-Encoding = "zstd";
  } else if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])br(?!\s*;\s*q=0(\.0*)?\s*(,|$))(\s*[;,]|\s*$)") {
    set req.http.Accept-Encoding = "br";
  } else if (req.http.Accept-Encoding ~ "(?i)(^|[\s,])gzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))(\s*[;,]|\s*$)") {
    set req.http.Accept-Encoding = "gzip";
  } else {
    unset req.http.Accept-Encoding;
  }

  if (req.url ~ "[?&]live_sse=true(&|$)") {
    return (pipe);
  }
  if (req.method != "GET" && req.method != "HEAD") {
    return (pass);
  }
  return (hash);
}

sub vcl_pipe {
  set bereq.http.Connection = "close";
}

sub vcl_backend_response {
  # What may be asked for again with If-None-Match when it is no longer fresh.
  set beresp.keep = 1h;
  # Varnish keeps no 409 by itself. This one sends clients to the shape's successor, all of them at once.
  if (beresp.status == 409 && beresp.http.Cache-Control ~ "max-age=\d") {
    set beresp.ttl = std.duration(regsub(beresp.http.Cache-Control, "^.*max-age=(\d+).*$", "\1s"), 0s);
    set beresp.grace = 0s;
  }
}

sub vcl_deliver {
  if (obj.hits > 0) {
    set resp.http.x-cache-status = "HIT";
  } else {
    set resp.http.x-cache-status = "MISS";
  }
}
