// The server names uploads by its public address. The page speaks with it where it found it, which may be another name
// of the same machine, so of such an address only the path counts.
import { DefaultHttpStack, type HttpRequest, type HttpResponse, type HttpStack } from 'tus-js-client'

class Here implements HttpStack {
  #stack = new DefaultHttpStack({})

  createRequest(method: string, url: string): HttpRequest {
    const { pathname, search } = new URL(url, location.href)
    const request = this.#stack.createRequest(method, location.origin + pathname + search)
    const send = request.send.bind(request)
    request.send = async (body: unknown) => located(await send(body))
    return request
  }

  getName() {
    return 'Here'
  }
}

function located(response: HttpResponse): HttpResponse {
  const header = response.getHeader.bind(response)
  response.getHeader = (name) => {
    const value = header(name)
    return value && name.toLowerCase() === 'location' ? new URL(value, location.href).pathname : value
  }
  return response
}

export const here: HttpStack = new Here()
