/* What a message costs libmosquitto: `libmosquitto PORT publish|receive QOS COUNT SIZE WINDOW`, for
 * `cargo xtask bench clients`. As its documentation has it: its own network thread, publishes from another. */

#include <mosquitto.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* At QoS 0 nothing is acknowledged: so many may wait for the network thread. */
#define UNWRITTEN_MAX 10000

struct mark {
    double wall, cpu; /* seconds */
};

static sem_t connected, room, done;
static long count, received;
static struct mark end;

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct mark mark_now(void)
{
    return (struct mark){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static void check(int result, const char *what)
{
    if (result != MOSQ_ERR_SUCCESS) {
        fprintf(stderr, "%s: %s\n", what, mosquitto_strerror(result));
        exit(1);
    }
}

static void on_connect(struct mosquitto *client, void *context, int code)
{
    (void)client, (void)context, (void)code;
    sem_post(&connected);
}

static void on_publish(struct mosquitto *client, void *context, int id)
{
    (void)client, (void)context, (void)id;
    sem_post(&room);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message)
{
    (void)client, (void)context, (void)message;
    if (++received == count) {
        end = mark_now();
        sem_post(&done);
    }
}

static void publish(struct mosquitto *client, int qos, int size, int window)
{
    int waiting_max = qos == 0 ? UNWRITTEN_MAX : window;
    char *payload = malloc((size_t)size + 1);
    memset(payload, 'x', (size_t)size);
    sem_init(&room, 0, (unsigned)waiting_max);
    for (long sent = 0; sent < count; sent++) {
        sem_wait(&room);
        check(mosquitto_publish(client, NULL, "bench/0", size, payload, qos, false), "publish");
    }
    for (int left = 0; left < waiting_max; left++) {
        sem_wait(&room);
    }
    end = mark_now();
    free(payload);
}

static void receive(struct mosquitto *client, int qos, int size, int window)
{
    char filter[100];
    snprintf(filter, sizeof filter, "fire/%d/%ld/%d/%d", qos, count, size, window);
    check(mosquitto_subscribe(client, NULL, filter, qos), "subscribe");
    sem_wait(&done);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "libmosquitto PORT publish|receive QOS COUNT SIZE WINDOW\n");
        return 1;
    }
    int port = atoi(argv[1]), qos = atoi(argv[3]), size = atoi(argv[5]), window = atoi(argv[6]);
    bool publishes = strcmp(argv[2], "publish") == 0;
    count = atol(argv[4]);
    sem_init(&connected, 0, 0);
    sem_init(&done, 0, 0);
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, NULL);
    mosquitto_max_inflight_messages_set(client, (unsigned)window);
    mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, 65535);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_publish_callback_set(client, on_publish);
    mosquitto_message_callback_set(client, on_message);
    check(mosquitto_connect(client, "127.0.0.1", port, 60), "connect");
    check(mosquitto_loop_start(client), "loop_start");
    sem_wait(&connected);
    struct mark start = mark_now();
    (publishes ? publish : receive)(client, qos, size, window);
    mosquitto_disconnect(client);
    mosquitto_loop_stop(client, false);
    printf("{\"messages\":%ld,\"cpu_us\":%.3f,\"msgs_per_s\":%.0f}\n", count,
           (end.cpu - start.cpu) * 1e6 / (double)count, (double)count / (end.wall - start.wall));
    mosquitto_destroy(client);
    mosquitto_lib_cleanup();
    return 0;
}
