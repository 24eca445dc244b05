/* The limit: what is published goes to every subscriber by one send() each, of bytes that are ready. No log, no ids, no
 * slow readers (one that would block loses the event), no HTTP but what the load speaks. One core, epoll.
 *
 * A subscriber sends GET, a publisher POST with a Content-Length; each POST is answered after its sends.
 *
 * `limit N` sends each event N times, in one send(): more than any reader can read, to measure the reader by. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 40000, REQUEST = 65536, READY = 256 };

static char *requests[MOST]; /* what has come of a request, by descriptor */
static size_t lengths[MOST];
static int subscribers[MOST], places[MOST], count, repeat = 1;

static const char GREETING[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    "18\r\nevent: connected\ndata: \n\n\r\n";
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

static void leave(int fd) {
    if (places[fd] >= 0) { /* the last takes its place */
        int last = subscribers[--count];
        subscribers[places[fd]] = last;
        places[last] = places[fd];
        places[fd] = -1;
    }
    free(requests[fd]);
    requests[fd] = NULL;
    lengths[fd] = 0;
    close(fd);
}

static void deliver(const char *data, size_t length) {
    static char chunks[1 << 20];
    char frame[REQUEST + 64];
    int framed = snprintf(frame, sizeof frame, "data: %.*s\n\n", (int)length, data), size = 0;
    for (int i = 0; i < repeat && size + framed + 32 < (int)sizeof chunks; i++)
        size += snprintf(chunks + size, sizeof chunks - size, "%x\r\n%.*s\r\n", framed, framed, frame);
    for (int i = 0; i < count; i++)
        if (send(subscribers[i], chunks, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN) leave(subscribers[i--]);
}

/* Answer all whole requests that have come from a connection; 0 if it is gone. */
static int answer(int fd) {
    for (;;) {
        char *begin = requests[fd], *end = lengths[fd] ? memmem(begin, lengths[fd], "\r\n\r\n", 4) : NULL;
        if (!end) return 1;
        size_t head = end + 4 - begin, body = 0;
        if (!strncmp(begin, "GET ", 4)) {
            places[fd] = count;
            subscribers[count++] = fd;
            if (send(fd, GREETING, sizeof GREETING - 1, MSG_NOSIGNAL) < 0) return 0;
        } else {
            for (char *line = begin; line && line < end; line = memmem(line, end - line, "\r\n", 2)) {
                line += line == begin ? 0 : 2;
                if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, NULL, 10);
                if (line == begin) line++;
            }
            if (lengths[fd] < head + body) return 1;
            deliver(begin + head, body);
            if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0) return 0;
        }
        lengths[fd] -= head + body;
        memmove(begin, begin + head + body, lengths[fd]);
    }
}

int main(int argc, char **argv) {
    if (argc > 1) repeat = atoi(argv[1]);
    struct rlimit files = {20000, 20000};
    setrlimit(RLIMIT_NOFILE, &files);
    memset(places, -1, sizeof places);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (void *)&address, size) || listen(listener, 4096)) return perror("limit"), 1;
    getsockname(listener, (void *)&address, &size);
    fprintf(stderr, "limit is at http://127.0.0.1:%d/\n", ntohs(address.sin_port));
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        struct epoll_event ready[READY];
        int found = epoll_wait(poll, ready, READY, -1);
        for (int i = 0; i < found; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                    requests[fd] = malloc(REQUEST);
                    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
                }
                continue;
            }
            ssize_t got = requests[fd] ? recv(fd, requests[fd] + lengths[fd], REQUEST - lengths[fd], 0) : 0;
            if (got > 0) lengths[fd] += got;
            if ((got <= 0 && errno != EAGAIN) || (got > 0 && !answer(fd))) leave(fd);
        }
    }
}
