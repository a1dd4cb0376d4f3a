/* The floor: the least a server on the system's OpenSSL can do. One thread, one epoll; mutual TLS with a
 * certificate required; then each message of the load is answered with the shortest right answer, and kept
 * nowhere. It trusts the load: a record holds whole MQTT packets, or one HTTP request.
 *
 * floor PORT CERTIFICATE KEY CA
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256, RECORD_BYTES = 16384, BACKLOG = 4096 };

static const char ACCEPTED[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
static const unsigned char CONNACK[] = {0x20, 0x02, 0x00, 0x00};

typedef struct {
    int fd;
    int ready; /* the handshake is done */
    SSL *ssl;
} Peer;

static void die(const char *what) {
    fprintf(stderr, "floor: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static SSL_CTX *make_context(const char *certificate, const char *key, const char *ca) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
        die("cannot use the certificate files");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, BACKLOG))
        die("cannot listen");
    return fd;
}

static void drop(Peer *peer) {
    SSL_shutdown(peer->ssl);
    SSL_free(peer->ssl);
    close(peer->fd);
    free(peer);
    ERR_clear_error();
}

/* Answers every MQTT packet in the record; -1 ends the connection. */
static int answer_mqtt(Peer *peer, const unsigned char *in, int size) {
    unsigned char out[RECORD_BYTES];
    int used = 0;
    while (size >= 2) {
        int body = in[1] & 0x7f, head = 2;
        if (in[1] & 0x80) {
            if (size < 3)
                return -1;
            body |= in[2] << 7;
            head = 3;
        }
        if (head + body > size || used + 4 > (int)sizeof out)
            return -1;
        if ((in[0] & 0xf0) == 0x10) {
            memcpy(out + used, CONNACK, 4);
            used += 4;
        } else if ((in[0] & 0xf6) == 0x32) { /* PUBLISH, QoS 1 */
            int topic = body < 2 ? body : in[head] << 8 | in[head + 1];
            if (topic + 4 > body)
                return -1;
            out[used] = 0x40;
            out[used + 1] = 2;
            memcpy(out + used + 2, in + head + 2 + topic, 2);
            used += 4;
        } else {
            return -1; /* DISCONNECT, or nothing we know */
        }
        in += head + body;
        size -= head + body;
    }
    return used == 0 || SSL_write(peer->ssl, out, used) == used ? 0 : -1;
}

static int serve(Peer *peer) {
    static unsigned char in[RECORD_BYTES];
    if (!peer->ready) {
        int done = SSL_accept(peer->ssl);
        if (done != 1)
            return SSL_get_error(peer->ssl, done) == SSL_ERROR_WANT_READ ? 0 : -1;
        peer->ready = 1;
    }
    int size = SSL_read(peer->ssl, in, sizeof in);
    if (size <= 0)
        return SSL_get_error(peer->ssl, size) == SSL_ERROR_WANT_READ ? 0 : -1;
    if (in[0] == 'P') {
        int length = sizeof ACCEPTED - 1;
        return SSL_write(peer->ssl, ACCEPTED, length) == length ? 0 : -1;
    }
    return answer_mqtt(peer, in, size);
}

static void welcome(int listener, int epoll, SSL_CTX *context) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        Peer *peer = calloc(1, sizeof *peer);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        if (!peer || !(peer->ssl = SSL_new(context)) || !SSL_set_fd(peer->ssl, fd))
            die("no memory");
        peer->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int count, char **arguments) {
    if (count != 5)
        die("usage: floor PORT CERTIFICATE KEY CA");
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *context = make_context(arguments[2], arguments[3], arguments[4]);
    int listener = listen_on(atoi(arguments[1])), epoll = epoll_create1(0);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            Peer *peer = events[i].data.ptr;
            if (!peer)
                welcome(listener, epoll, context);
            else if (serve(peer) < 0)
                drop(peer);
        }
        if (ready < 0 && errno != EINTR)
            die("epoll");
    }
}
